# Model files (registry/admission). Seeds: make_model_corpus.py.
skerry_fuzz(gguf LINK skerry::admission skerry::test_support)
skerry_fuzz(onnx LINK skerry::admission skerry::test_support)
# What names and describes models, and the index of a blob's chunks. Seeds: make_registry_corpus.py.
skerry_fuzz(manifest LINK skerry::registry)
skerry_fuzz(model_reference LINK skerry::registry)
skerry_fuzz(chunk_index LINK skerry::registry)
