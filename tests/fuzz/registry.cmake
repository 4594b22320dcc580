# Model files (registry/admission). Seeds: make_model_corpus.py.
foreach(target gguf onnx)
  skerry_fuzz(${target} LINK skerry::admission)
  target_include_directories(${target}_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
endforeach()
# What names and describes models, and the index of a blob's chunks. Seeds: make_registry_corpus.py.
skerry_fuzz(manifest LINK skerry::registry)
skerry_fuzz(model_reference LINK skerry::registry)
skerry_fuzz(chunk_index LINK skerry::registry)
# Deltas, against a small model. Seeds: delta_corpus.
skerry_fuzz(delta LINK skerry::registry skerry::test_support)
skerry_executable(delta_corpus SOURCES delta/make_corpus.cpp LINK skerry::registry skerry::test_support)
skerry_fuzz(oci_image LINK skerry::registry) # seeds: make_oci_corpus.py
skerry_fuzz(bundle LINK skerry::registry) # seeds: make_oci_corpus.py
# What importers read of other tools. Seeds: make_import_corpus.py.
skerry_fuzz(gguf_join LINK skerry::admission)
skerry_fuzz(tar LINK skerry::registry)
skerry_fuzz(import_index LINK skerry::model_import)
target_include_directories(gguf_join_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
target_include_directories(tar_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
target_include_directories(import_index_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/tests/support
  ${CMAKE_SOURCE_DIR}/registry/import/src)
# Encrypted stores: the key file and sealed messages.
skerry_fuzz(sealed_store LINK skerry::registry)
