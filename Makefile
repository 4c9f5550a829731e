# SPDX-License-Identifier: Apache-2.0
# The OpenWrt package. Outside an OpenWrt tree (TOPDIR unset) the developer's targets of dev.mk: make help
ifeq ($(TOPDIR),)
include $(dir $(lastword $(MAKEFILE_LIST)))dev.mk
else

include $(TOPDIR)/rules.mk

PKG_NAME:=nfa
PKG_VERSION:=0.1.0
PKG_RELEASE:=1

PKG_MAINTAINER:=nfa maintainers <nfa@example.org>
PKG_LICENSE:=Apache-2.0
PKG_LICENSE_FILES:=LICENSE

PKG_BUILD_DEPENDS:=python-setuptools/host

include $(INCLUDE_DIR)/package.mk
include $(TOPDIR)/feeds/packages/lang/python/python3-package.mk

define Package/nfa
  SECTION:=net
  CATEGORY:=Network
  TITLE:=Flow actions for netifyd
  DEPENDS:= \
	+python3-light +python3-urllib +python3-pyparsing +python3-uci \
	+kmod-ipt-ipset +kmod-nft-core +kmod-nf-conntrack-netlink
  PKGARCH:=all
  USERID:=nfa=7150:nfa=7150
  PROVIDES:=netify-proc-flow-actions
  CONFLICTS:=netify-proc-flow-actions
endef

define Package/nfa/description
  Reads the flow stream of the Netify Agent, matches every flow against
  policies, and keeps nftables sets, ipsets and log files of those that match.
  Takes the UCI and JSON configuration of Netify's Flow Actions plugin.
  It needs an agent: netifyd on this router, or on another machine (source).
endef

define Package/nfa-route
  SECTION:=net
  CATEGORY:=Network
  TITLE:=Flow actions: routes without netifd
  DEPENDS:=+nfa +python3-pyroute2
  PKGARCH:=all
endef

define Package/nfa-route/description
  Brings pyroute2, by which nfa makes rules and routes for other WANs
  (option route) where netifd does not. A router with /etc/config/network
  does not need it.
endef

define Package/nfa/conffiles
/etc/config/netify-proc-flow-actions
/etc/nfa/allowed_folders
endef

define Build/Prepare
	$(INSTALL_DIR) $(PKG_BUILD_DIR)
	$(CP) ./nfa ./pyproject.toml ./README.md ./LICENSE $(PKG_BUILD_DIR)/
endef

define Py3Package/nfa/install
	$(INSTALL_DIR) $(1)/usr/bin
	$(INSTALL_BIN) $(PKG_INSTALL_DIR)/usr/bin/nfa $(1)/usr/bin/nfa
	$(INSTALL_DIR) $(1)/etc/config
	$(INSTALL_CONF) ./files/etc/config/netify-proc-flow-actions $(1)/etc/config/netify-proc-flow-actions
	$(INSTALL_DIR) $(1)/etc/init.d
	$(INSTALL_BIN) ./files/etc/init.d/nfa $(1)/etc/init.d/nfa
	$(INSTALL_DIR) $(1)/etc/capabilities
	$(INSTALL_DATA) ./files/etc/capabilities/nfa.json $(1)/etc/capabilities/nfa.json
	$(INSTALL_DIR) $(1)/etc/nfa
	$(INSTALL_DATA) ./files/etc/nfa/allowed_folders $(1)/etc/nfa/allowed_folders
	$(INSTALL_DIR) $(1)/lib/upgrade/keep.d
	$(INSTALL_DATA) ./files/lib/upgrade/keep.d/nfa $(1)/lib/upgrade/keep.d/nfa
	$(INSTALL_DIR) $(1)/usr/libexec
	$(INSTALL_BIN) ./files/usr/libexec/nfa-sockets $(1)/usr/libexec/nfa-sockets
	$(INSTALL_DIR) $(1)/usr/share/acl.d
	$(INSTALL_DATA) ./files/usr/share/acl.d/nfa.json $(1)/usr/share/acl.d/nfa.json
	$(INSTALL_DIR) $(1)/usr/share/nfa
	$(INSTALL_DATA) ./files/usr/share/nfa/netify-proc-flow-actions.schema.json $(1)/usr/share/nfa/netify-proc-flow-actions.schema.json
	$(INSTALL_DIR) $(1)/etc/uci-defaults
	$(INSTALL_BIN) ./files/etc/uci-defaults/60-nfa $(1)/etc/uci-defaults/60-nfa
endef

define Package/nfa-route/install
	true
endef

$(eval $(call Py3Package,nfa))
$(eval $(call BuildPackage,nfa))
$(eval $(call BuildPackage,nfa-src))
$(eval $(call BuildPackage,nfa-route))

endif
