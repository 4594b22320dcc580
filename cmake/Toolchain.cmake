# Compiler cache, warnings, hardening, sanitizers: what every target is built with.

find_program(SKERRY_CCACHE ccache)
if(SKERRY_CCACHE)
  # base_dir and hash_dir let two build folders, and two clones, share one cache. A precompiled header is hashed once, not
  # for each file that uses it.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_INODECACHE=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime)
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher} ${SKERRY_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher} ${SKERRY_CCACHE})
  # For files that are compiled one by one: what they depend on comes from the compiler, without a preprocessor before it.
  # Not for batches: they name their files by absolute paths, so another clone would find none of them.
  set(SKERRY_SINGLE_LAUNCHER ${launcher} CCACHE_DEPEND=1 ${SKERRY_CCACHE})
endif()

add_library(skerry_flags INTERFACE)
target_compile_options(skerry_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  -Woverloaded-virtual -Wimplicit-fallthrough -Wextra-semi -Wformat=2 -Werror
  # Designated initializers leave the other members at their defaults, which is what they are for.
  -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
# Absent: -Wnull-dereference (g++ 12 at -O2 warns inside Asio), -Wsign-conversion comes with -Wconversion only in C.

add_compile_options(-pthread) # for all alike: precompiled headers are shared
add_compile_definitions(_GLIBCXX_ASSERTIONS)
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  add_compile_definitions(_FORTIFY_SOURCE=2)
  add_compile_options(-fstack-protector-strong -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
    add_compile_options(-fcf-protection)
  endif()
  add_link_options(-Wl,-z,relro,-z,now)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC collects its garbage less often: a tenth less time, a fifth more memory (up to 1.9 GB for a batch of files).
  add_compile_options(--param=ggc-min-expand=400 --param=ggc-min-heapsize=1000000)
endif()
# Drop what is not used and link only the libraries that are: the daemon starts and stays small.
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections -Wl,--as-needed)
find_program(SKERRY_LLD ld.lld)
if(SKERRY_LLD)
  add_link_options(-fuse-ld=lld)
endif()

if(SKERRY_SANITIZE)
  add_compile_options(-fsanitize=${SKERRY_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${SKERRY_SANITIZE})
  if(SKERRY_SANITIZE STREQUAL "thread")
    add_compile_options(-Wno-tsan) # Asio's executors fence beside their mutexes; TSan follows the mutexes.
    add_compile_options(-Wno-array-bounds) # GCC 12 misreads std::string's moves between TSan's calls.
  endif()
  if(SKERRY_SANITIZE MATCHES "undefined")
    # Debian's SOCI does not export the type information that the vptr check needs.
    add_compile_options(-fno-sanitize=vptr)
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND SKERRY_SANITIZE MATCHES "undefined")
  # clang 14 cannot instrument coroutines for -fsanitize=function.
  add_compile_options(-fno-sanitize=function)
endif()
if(SKERRY_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address)
endif()
