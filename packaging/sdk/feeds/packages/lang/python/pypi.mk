# What the source of a package from PyPI is called. It must stand before package.mk.
PKG_SOURCE := $(PYPI_NAME)-$(PKG_VERSION).tar.gz
PKG_SOURCE_URL := https://files.pythonhosted.org/packages/source/$(PYPI_NAME)
