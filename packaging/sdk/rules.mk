# A stand-in for OpenWrt's SDK, which knows as much of its interface as this repository's Makefiles use. `make ipk` builds
# with it, and the tests see through it what the Makefiles say. TOPDIR is the folder of this file.
#
#   PYTHON, TARGET_PYTHON   what compiles the byte-code; the version of Python that the router has
#   BUILD_DIR, OUT          where it builds; where the .ipk goes
PYTHON ?= python3
TARGET_PYTHON ?= 3.11
BUILD_DIR ?= $(CURDIR)/build/openwrt
OUT ?= $(CURDIR)/dist
export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),0)

TOOLS := $(abspath $(TOPDIR)/..)
INCLUDE_DIR := $(TOPDIR)/include

CP := cp -fpR
FIND := find
INSTALL_BIN := install -m0755
INSTALL_CONF := install -m0600
INSTALL_DATA := install -m0644
INSTALL_DIR := install -d -m0755
