# The controller's own files. The sources alone: its library needs gRPC, which the fuzz build does without.
# Seeds: make_controller_corpus.py.
foreach(target authorities backup_list)
  skerry_fuzz(${target} LINK skerry::security)
  target_include_directories(${target}_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/controller/src ${CMAKE_SOURCE_DIR}/controller/include)
endforeach()
target_sources(authorities_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/controller/src/authority_list.cpp)
target_sources(backup_list_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/controller/src/backup_list.cpp)
