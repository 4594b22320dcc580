# skerry_module(<name> SOURCES … HEADERS … PUBLIC <targets> PRIVATE <targets> PCH std|asio|grpc)
# One folder, one static library, one include root: a module sees another module's headers only by linking it.
function(skerry_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PCH" "SOURCES;HEADERS;PUBLIC;PRIVATE")
  add_library(skerry_${name} STATIC ${arg_SOURCES})
  add_library(skerry::${name} ALIAS skerry_${name})
  target_sources(skerry_${name} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${arg_HEADERS})
  target_include_directories(skerry_${name} PRIVATE src)
  target_link_libraries(skerry_${name} PUBLIC ${arg_PUBLIC} PRIVATE skerry_flags ${arg_PRIVATE})
  skerry_pch(skerry_${name} "${arg_PCH}")
  skerry_unity(skerry_${name})
endfunction()

# skerry_executable(<name> SOURCES … LINK <targets> PCH std|asio|grpc): a program under bin/.
function(skerry_executable name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PCH" "SOURCES;LINK")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE skerry_flags ${arg_LINK})
  skerry_pch(${name} "${arg_PCH}")
  skerry_unity(${name})
endfunction()

# Most of a compilation is the parsing of headers: with SKERRY_UNITY (presets release, asan, tsan) up to eight files are
# compiled as one, which makes a build from nothing several times faster. Preset dev compiles them one by one.
function(skerry_unity target)
  if(SKERRY_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    # Types of an anonymous namespace are used across the files of one batch.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# skerry_test(<name> SOURCES … LINK <targets> LABELS <labels> PCH …): a GoogleTest program under ctest,
# one ctest entry per program, so that a run over two cores stays cheap.
function(skerry_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PCH;TIMEOUT" "SOURCES;LINK;LABELS")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE skerry_flags ${arg_LINK} GTest::gmock_main)
  skerry_pch(${name} "${arg_PCH}")
  target_precompile_headers(${name} PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(SKERRY_SANITIZE)
    math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 4") # what sanitizers cost the tests that try every crash point
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
endfunction()

# skerry_fuzz(<target> LINK <targets>): tests/fuzz/<target>/<target>_fuzz.cpp as a libFuzzer program (preset fuzz)
# or, everywhere else, as a program that replays the corpus under ctest.
function(skerry_fuzz name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK")
  set(dir ${CMAKE_SOURCE_DIR}/tests/fuzz/${name})
  add_executable(${name}_fuzz ${dir}/${name}_fuzz.cpp)
  target_link_libraries(${name}_fuzz PRIVATE skerry_flags ${arg_LINK})
  if(SKERRY_FUZZ)
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
    if(NOT TARGET fuzzers)
      add_custom_target(fuzzers)
    endif()
    add_dependencies(fuzzers ${name}_fuzz)
  else()
    target_sources(${name}_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.cpp)
    add_test(NAME fuzz_${name} COMMAND ${name}_fuzz ${dir}/corpus)
    set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz-smoke TIMEOUT 120)
  endif()
endfunction()

# The heavy headers, parsed once per target (seconds to parse alone: gRPC 2.6, Asio 2-5, the rest under 1).
function(skerry_pch target kind)
  if(kind STREQUAL "std" OR kind STREQUAL "asio" OR kind STREQUAL "grpc")
    target_precompile_headers(${target} PRIVATE
      <algorithm> <chrono> <cstdint> <functional> <map> <memory> <optional> <string> <string_view> <utility>
      <variant> <vector>)
  endif()
  if(kind STREQUAL "asio" OR kind STREQUAL "grpc")
    target_precompile_headers(${target} PRIVATE
      <boost/asio/any_io_executor.hpp> <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp>
      <boost/asio/io_context.hpp> <boost/asio/steady_timer.hpp> <boost/asio/use_awaitable.hpp>)
  endif()
  if(kind STREQUAL "grpc")
    target_precompile_headers(${target} PRIVATE <grpcpp/grpcpp.h>)
  endif()
endfunction()
