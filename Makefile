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
  DEPENDS:=+python3-light +python3-urllib +python3-pyparsing +python3-pyroute2
endef

define Package/nfa/description
  Reads the flow stream of the Netify Agent, matches policies, and
  fills nftables sets and ipsets with what they say.
endef

define Build/Prepare
	$(INSTALL_DIR) $(PKG_BUILD_DIR)
	$(CP) ./nfa ./pyproject.toml ./README.md ./LICENSE $(PKG_BUILD_DIR)/
endef

$(eval $(call Py3Package,nfa))
$(eval $(call BuildPackage,nfa))
$(eval $(call BuildPackage,nfa-src))

endif
