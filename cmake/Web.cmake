# fairlead_web: the console's pages (web/), built by Vite, gzipped and embedded; src/console/web_assets.h reads them.
# npm runs only when web/package-lock.json has changed, Vite only when a source has.
option(FAIRLEAD_WEB "Build the console's pages into the binary (needs npm and, the first time, its registry)" ON)

set(WEB_SOURCE ${CMAKE_SOURCE_DIR}/web)
set(WEB_OUT ${CMAKE_BINARY_DIR}/web)
file(MAKE_DIRECTORY ${WEB_OUT})

if(FAIRLEAD_WEB)
  find_program(NPM_PROGRAM npm)
  find_program(NODE_PROGRAM NAMES node nodejs)
  if(NOT NPM_PROGRAM OR NOT NODE_PROGRAM)
    message(FATAL_ERROR "npm or node is missing, which build the console's pages: run tools/setup build, or configure with -DFAIRLEAD_WEB=OFF for a binary without pages")
  endif()
  file(GLOB_RECURSE WEB_FILES CONFIGURE_DEPENDS ${WEB_SOURCE}/src/* ${WEB_SOURCE}/public/* ${WEB_SOURCE}/mock/*)

  # The stamp lies among the modules, so that build trees share one installation.
  set(WEB_MODULES ${WEB_SOURCE}/node_modules/.fairlead-stamp)
  add_custom_command(
    OUTPUT ${WEB_MODULES}
    COMMAND ${NPM_PROGRAM} ci --no-audit --no-fund --loglevel=error
    COMMAND ${CMAKE_COMMAND} -E touch ${WEB_MODULES}
    DEPENDS ${WEB_SOURCE}/package.json ${WEB_SOURCE}/package-lock.json ${WEB_SOURCE}/.npmrc
    WORKING_DIRECTORY ${WEB_SOURCE}
    COMMENT "Installing the packages of web/"
    VERBATIM)
  add_custom_command(
    OUTPUT ${WEB_OUT}/web_assets.cc
    BYPRODUCTS ${WEB_OUT}/web_assets.bin
    COMMAND ${NODE_PROGRAM} node_modules/vite/bin/vite.js build --outDir ${WEB_OUT}/dist --emptyOutDir --logLevel warn
    COMMAND ${NODE_PROGRAM} tools/pack.mjs ${WEB_OUT}/dist ${WEB_OUT}
    DEPENDS ${WEB_MODULES} ${WEB_FILES} ${WEB_SOURCE}/index.html ${WEB_SOURCE}/vite.config.ts ${WEB_SOURCE}/tsconfig.json ${WEB_SOURCE}/tools/pack.mjs
    WORKING_DIRECTORY ${WEB_SOURCE}
    COMMENT "Building the console's pages"
    VERBATIM)
  # What .incbin reads is not in the compiler's list of dependencies.
  set_source_files_properties(${WEB_OUT}/web_assets.cc PROPERTIES OBJECT_DEPENDS ${WEB_OUT}/web_assets.bin)
else()
  file(WRITE ${WEB_OUT}/web_assets.cc "#include \"console/web_assets.h\"\n\nnamespace fairlead {\nstd::span<const WebAsset> web_assets() { return {}; }\n}  // namespace fairlead\n")
endif()

add_library(fairlead_web STATIC ${WEB_OUT}/web_assets.cc)
target_include_directories(fairlead_web PUBLIC ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(fairlead_web PRIVATE fairlead_warnings)
