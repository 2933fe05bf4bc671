# Language level, warnings, sanitizers, linker and compiler cache.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

set(FAIRLEAD_SANITIZE "" CACHE STRING "Value for -fsanitize=, empty for none")
option(FAIRLEAD_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(FAIRLEAD_BUILD_TESTS "Build unit and component tests" ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Relative paths, so that checkouts in different folders share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

find_program(MOLD_PROGRAM mold)
find_program(LLD_PROGRAM NAMES ld.lld ld.lld-19)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
elseif(LLD_PROGRAM AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_link_options(-fuse-ld=lld)
endif()

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
# Warnings and instrumentation for our own code; generated code does without (it is half of the build's time).
add_library(fairlead_warnings INTERFACE)
if(FAIRLEAD_SANITIZE)
  add_link_options(-fsanitize=${FAIRLEAD_SANITIZE})
  # g++ 12 sees uninitialized variants that are not there once sanitizers keep it from inlining.
  target_compile_options(fairlead_warnings INTERFACE -fsanitize=${FAIRLEAD_SANITIZE} -fno-sanitize-recover=all
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(FAIRLEAD_SANITIZE MATCHES thread)
  # Protobuf's messages have one more member under this macro, and generated code and library are built without it.
  target_compile_options(fairlead_warnings INTERFACE -U__SANITIZE_THREAD__ -D_GLIBCXX_TSAN=1 -DFAIRLEAD_SANITIZED)
endif()
if(FAIRLEAD_FUZZ)
  target_compile_options(fairlead_warnings INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_compile_options(fairlead_warnings INTERFACE -Wall -Wextra -Wpedantic -Wnon-virtual-dtor -Woverloaded-virtual
  -Wno-missing-field-initializers -Werror
  # clang sees the deprecation of std::get_temporary_buffer inside libstdc++ 12's own algorithms.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)
