# $(eval $(call Py3Package,NAME)): the install section of a Python package that ships byte-code beside nothing else, and
# the package NAME-src with its sources.
PYTHON3_PKG_DIR := /usr/lib/python$(TARGET_PYTHON)/site-packages

define Build/Compile
	umask 022 && $(PYTHON) $(TOOLS)/pyinstall.py --python $(TARGET_PYTHON) $(PKG_BUILD_DIR) $(PKG_INSTALL_DIR)
endef

define Py3Package
  define Package/$(1)-src
    $(call Package/$(1))
    DEPENDS:=
    PROVIDES:=
    CONFLICTS:=
    USERID:=
    TITLE+=(sources)
  endef

  Package/$(1)-src/description = $$(Package/$(1)/description)

  # Modules are of no use to another version of Python; here they are refused in words.
  define Package/$(1)/preinst
#!/bin/sh
[ -d "$$$${IPKG_INSTROOT}/usr/lib/python$(TARGET_PYTHON)" ] && exit 0
echo "$(1): this package is for Python $(TARGET_PYTHON), which this system does not have." >&2
exit 1
  endef

  define Package/$(1)/install
	$$(call Py3Package/$(1)/install,$$(1))
	$$(INSTALL_DIR) $$(1)$$(PYTHON3_PKG_DIR)
	$$(CP) $$(PKG_INSTALL_DIR)$$(PYTHON3_PKG_DIR)/. $$(1)$$(PYTHON3_PKG_DIR)/
	umask 022 && PYTHONHASHSEED=0 $$(PYTHON) -m compileall -q -b -d / --invalidation-mode unchecked-hash $$(1)
	$$(FIND) $$(1) -name '*.py' -delete
  endef
endef
