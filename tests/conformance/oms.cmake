add_executable(oms-client oms_client/main.cpp)
target_link_libraries(oms-client PRIVATE skerry_flags skerry::security)

# Our own run of the suite's cases, beside an implementation that shares nothing with ours.
if(NOT SKERRY_FUZZ)
  # Debian's own interpreter is the one that has Debian's python3-cryptography.
  find_program(SKERRY_SYSTEM_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
  add_test(NAME oms_conformance
           COMMAND ${SKERRY_SYSTEM_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/oms_suite/run.py $<TARGET_FILE:oms-client>)
  set_tests_properties(oms_conformance PROPERTIES LABELS integration TIMEOUT 300)
endif()
