# A LuCI application: htdocs/ goes to /www, root/ to /. A stand-in, as far as this repository's applications use it; LuCI's
# own makes scripts smaller and compiles translations.
PKG_NAME ?= $(notdir $(CURDIR))
include $(INCLUDE_DIR)/package.mk

define Build/Prepare
endef

define Build/Compile
endef

define Package/$(PKG_NAME)
  SECTION:=luci
  CATEGORY:=LuCI
  TITLE:=$(LUCI_TITLE)
  DEPENDS:=$(LUCI_DEPENDS)
  PKGARCH:=$(LUCI_PKGARCH)
endef

define Package/$(PKG_NAME)/description
  $(LUCI_TITLE)
endef

# The menu and the rights of logins are read anew.
define Package/$(PKG_NAME)/postinst
[ -n "$${IPKG_INSTROOT}" ] || { rm -rf /tmp/luci-indexcache.* /tmp/luci-modulecache; /etc/init.d/rpcd reload; }
exit 0
endef

define Package/$(PKG_NAME)/install
	$(INSTALL_DIR) $(1)/www
	$(CP) htdocs/. $(1)/www/
	$(CP) root/. $(1)/
endef

$(eval $(call BuildPackage,$(PKG_NAME)))
