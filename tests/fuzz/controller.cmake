# The controller's own files. The sources alone: its library needs gRPC, which the fuzz build does without.
# Seeds: make_controller_corpus.py.
foreach(target authorities backup_list)
  skerry_fuzz(${target} LINK skerry::security)
  target_include_directories(${target}_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/controller/src ${CMAKE_SOURCE_DIR}/controller/include)
endforeach()
target_sources(authorities_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/controller/src/authority_list.cpp)
target_sources(backup_list_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/controller/src/backup_list.cpp)
# What a stick brings back.
skerry_fuzz(report_file LINK skerry::common)
target_sources(report_file_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/cli/src/report_file.cpp)
target_include_directories(report_file_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/cli/include ${CMAKE_SOURCE_DIR}/tests/support)
