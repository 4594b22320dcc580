# What a worker sends (and what one is sent), and the golden sets that gate a model. Seeds: make_runtime_corpus.py.
skerry_fuzz(worker_frame LINK skerry::runtime_engine skerry::worker_proto protobuf::libprotobuf-lite)
target_include_directories(worker_frame_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/runtime/src)
skerry_fuzz(golden LINK skerry::runtime)
skerry_fuzz(token_text LINK skerry::runtime_engine protobuf::libprotobuf-lite)
skerry_fuzz(grammar LINK skerry::runtime_engine protobuf::libprotobuf-lite)
target_include_directories(grammar_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/runtime/src)
skerry_fuzz(chat_template LINK skerry::runtime_engine protobuf::libprotobuf-lite)
