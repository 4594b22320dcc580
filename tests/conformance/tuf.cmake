add_executable(tuf-client tuf_client/http_get.cpp tuf_client/main.cpp tuf_client/target_download.cpp)
target_link_libraries(tuf-client PRIVATE skerry_flags skerry::security Boost::headers Boost::url Threads::Threads)

# Our own run of the suite's cases, over HTTP and with a faked clock. A sanitizer's runtime and the one that fakes the
# clock do not share a process.
if(NOT SKERRY_SANITIZE AND NOT SKERRY_FUZZ)
  # Debian's own interpreter is the one that has Debian's python3-cryptography.
  find_program(SKERRY_SYSTEM_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
  add_test(NAME tuf_conformance
           COMMAND ${SKERRY_SYSTEM_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/tuf_suite/run.py $<TARGET_FILE:tuf-client>)
  set_tests_properties(tuf_conformance PROPERTIES LABELS integration TIMEOUT 300)
  if(EXISTS /dev/shm)
    set_tests_properties(tuf_conformance PROPERTIES ENVIRONMENT TMPDIR=/dev/shm)
  endif()
endif()
