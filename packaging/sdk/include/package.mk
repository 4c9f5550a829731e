# $(eval $(call BuildPackage,NAME)) makes two targets:
#   show-NAME   prints what the Makefile says of the package: control file, configuration files, what is installed
#   ipk-NAME    builds OUT/NAME_VERSION_ARCHITECTURE.ipk
# ipk.py does both; what it is to know of the package is in its environment.
PKG_BUILD_DIR ?= $(BUILD_DIR)/$(PKG_NAME)-$(PKG_VERSION)
PKG_INSTALL_DIR ?= $(PKG_BUILD_DIR)/ipkg-install

export PKG_VERSION PKG_RELEASE PKG_LICENSE PKG_MAINTAINER

# What the define of a package may set, and what holds when it does not.
define Package/Default
  SECTION:=
  CATEGORY:=
  SUBMENU:=
  TITLE:=
  URL:=
  DEPENDS:=
  PROVIDES:=
  CONFLICTS:=
  USERID:=
  PKGARCH:=
endef

define BuildPackage
  $(call Package/Default)
  $(call Package/$(1))

  .PHONY: show-$(1) ipk-$(1)
  show-$(1) ipk-$(1): export NAME := $(1)
  show-$(1) ipk-$(1): export SECTION := $$(SECTION)
  show-$(1) ipk-$(1): export CATEGORY := $$(CATEGORY)
  show-$(1) ipk-$(1): export TITLE := $$(TITLE)
  show-$(1) ipk-$(1): export URL := $$(URL)
  show-$(1) ipk-$(1): export DEPENDS := $$(DEPENDS)
  show-$(1) ipk-$(1): export PROVIDES := $$(PROVIDES)
  show-$(1) ipk-$(1): export CONFLICTS := $$(CONFLICTS)
  show-$(1) ipk-$(1): export USERID := $$(USERID)
  show-$(1) ipk-$(1): export PKGARCH := $$(PKGARCH)
  show-$(1) ipk-$(1): export DESCRIPTION = $$(Package/$(1)/description)
  show-$(1) ipk-$(1): export CONFFILES = $$(Package/$(1)/conffiles)
  show-$(1) ipk-$(1): export PREINST = $$(Package/$(1)/preinst)
  show-$(1) ipk-$(1): export POSTINST = $$(Package/$(1)/postinst)
  show-$(1): export INSTALL = $$(call Py3Package/$(1)/install,)

  show-$(1):
	@$$(PYTHON) $$(TOOLS)/ipk.py show

  ipk-$(1):
	rm -rf $$(BUILD_DIR)
	$$(Build/Prepare)
	$$(Build/Compile)
	$$(call Package/$(1)/install,$$(BUILD_DIR)/root)
	@$$(PYTHON) $$(TOOLS)/ipk.py build $$(BUILD_DIR)/root $$(OUT)
endef
