# Compiled on its own: the command line's library needs gRPC, which is absent under libFuzzer.
skerry_fuzz(tensor_text LINK skerry::common)
target_sources(tensor_text_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/cli/src/tensor_text.cpp)
target_include_directories(tensor_text_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/cli/include)
# g++ 12 at -O2 takes the empty alternatives of Json's variant for uninitialised (GCC bug 80635).
target_compile_options(tensor_text_fuzz PRIVATE -Wno-maybe-uninitialized)
skerry_fuzz(chat LINK skerry::common fmt::fmt)
foreach(part chat_input chat_settings chat_transcript terminal_text)
  target_sources(chat_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/cli/src/chat/${part}.cpp)
endforeach()
target_include_directories(chat_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/cli/include)
target_compile_options(chat_fuzz PRIVATE -Wno-maybe-uninitialized)
