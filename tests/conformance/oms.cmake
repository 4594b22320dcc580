add_executable(oms-client oms_client/main.cpp)
target_link_libraries(oms-client PRIVATE skerry_flags skerry::security)
