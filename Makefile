# The door: make up | down | build | test | check | lint | fmt | bench | fuzz
.PHONY: up down build setup configure
all: build

setup:
	@tools/setup build

build: setup
	@[ -f build/build.ninja ] || cmake --preset release
	@cmake --build build
