# The inference engines (deploy/engines): imported targets
#   engines::llama         headers, libllama, libggml, libggml-base
#   engines::onnxruntime   C header and library
# SKERRY_ENGINE_LLAMA_DIR is the folder that holds the libggml-cpu-*.so backends, chosen at run time.
# A system libllama-dev or libonnxruntime-dev is preferred; otherwise build/engines, fetched by `make setup`.

set(SKERRY_ENGINES_DIR "${CMAKE_SOURCE_DIR}/build/engines" CACHE PATH "Where deploy/engines/fetch.sh put the engines")
option(SKERRY_SYSTEM_ENGINES "Prefer libllama-dev and libonnxruntime-dev of the system" ON)

function(skerry_engine_library target location)
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${location}")
endfunction()

# skerry_engine_rpath(<target> <engine folder>…): the target finds the engine beside the build tree, and, once
# installed as <prefix>/lib/skerry/plugins/x.so, in <prefix>/lib/skerry/engines.
function(skerry_engine_rpath target)
  set_target_properties(${target} PROPERTIES
    BUILD_RPATH "${ARGN}"
    INSTALL_RPATH "$ORIGIN/../engines/llama;$ORIGIN/../engines/onnxruntime")
endfunction()

set(engine_hint "the inference engines are missing: run 'make setup'")

# llama.cpp
set(system_llama_header "")
if(SKERRY_SYSTEM_ENGINES)
  find_path(system_llama_header llama.h PATHS /usr/include NO_DEFAULT_PATH NO_CACHE)
  find_library(system_llama llama NO_CACHE)
  find_library(system_ggml ggml NO_CACHE)
  find_library(system_ggml_base ggml-base NO_CACHE)
endif()
if(system_llama_header AND system_llama AND system_ggml AND system_ggml_base)
  set(llama_include ${system_llama_header})
  set(llama_library ${system_llama})
  set(ggml_library ${system_ggml})
  set(ggml_base_library ${system_ggml_base})
  get_filename_component(llama_real ${system_ggml} REALPATH)
  get_filename_component(SKERRY_ENGINE_LLAMA_DIR ${llama_real} DIRECTORY)
  foreach(folder ${SKERRY_ENGINE_LLAMA_DIR}/ggml/backends0 ${SKERRY_ENGINE_LLAMA_DIR}/ggml)
    if(EXISTS ${folder})
      set(SKERRY_ENGINE_LLAMA_DIR ${folder})
      break()
    endif()
  endforeach()
  set(SKERRY_ENGINE_LLAMA_SYSTEM ON)
else()
  set(SKERRY_ENGINE_LLAMA_DIR ${SKERRY_ENGINES_DIR}/llama/lib)
  set(llama_include ${SKERRY_ENGINES_DIR}/llama/include)
  # Engine files carry their release in the name: libllama.v0.5.0.so.
  file(GLOB llama_library ${SKERRY_ENGINE_LLAMA_DIR}/libllama.v*.so)
  file(GLOB ggml_library ${SKERRY_ENGINE_LLAMA_DIR}/libggml.v*.so)
  set(ggml_base_library ${SKERRY_ENGINE_LLAMA_DIR}/libggml-base.so)
  if(NOT llama_library OR NOT ggml_library OR NOT EXISTS ${ggml_base_library} OR NOT EXISTS ${llama_include}/llama.h)
    message(FATAL_ERROR "${engine_hint}")
  endif()
  set(SKERRY_ENGINE_LLAMA_SYSTEM OFF)
endif()
skerry_engine_library(engines::ggml_base ${ggml_base_library})
skerry_engine_library(engines::ggml ${ggml_library})
skerry_engine_library(engines::llama ${llama_library})
target_link_libraries(engines::ggml INTERFACE engines::ggml_base)
target_link_libraries(engines::llama INTERFACE engines::ggml engines::ggml_base)
target_include_directories(engines::llama SYSTEM INTERFACE ${llama_include})

# ONNX Runtime
set(system_ort_header "")
if(SKERRY_SYSTEM_ENGINES)
  find_path(system_ort_header onnxruntime_c_api.h PATHS /usr/include/onnxruntime NO_DEFAULT_PATH NO_CACHE)
  find_library(system_ort onnxruntime NO_CACHE)
endif()
if(system_ort_header AND system_ort)
  set(ort_include ${system_ort_header})
  set(ort_library ${system_ort})
  set(SKERRY_ENGINE_ONNXRUNTIME_SYSTEM ON)
else()
  set(ort_include ${SKERRY_ENGINES_DIR}/onnxruntime/include)
  set(ort_library ${SKERRY_ENGINES_DIR}/onnxruntime/lib/libonnxruntime.so.1)
  if(NOT EXISTS ${ort_library} OR NOT EXISTS ${ort_include}/onnxruntime_c_api.h)
    message(FATAL_ERROR "${engine_hint}")
  endif()
  set(SKERRY_ENGINE_ONNXRUNTIME_SYSTEM OFF)
endif()
get_filename_component(SKERRY_ENGINE_ONNXRUNTIME_DIR ${ort_library} DIRECTORY)
skerry_engine_library(engines::onnxruntime ${ort_library})
target_include_directories(engines::onnxruntime SYSTEM INTERFACE ${ort_include})
