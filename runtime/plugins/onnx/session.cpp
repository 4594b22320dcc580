#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "mapped_file.hpp"
#include "pulse.hpp"
#include "support.hpp"

namespace skerry_onnx {

namespace {

// Compute buffers and the copy that loading makes; measured on small models, so an upper estimate
// is a multiple of the file.
constexpr std::uint64_t kEngineBytes = 24ULL << 20U;

// y = Identity(x): ModelProto of IR 8, opset 13.
constexpr unsigned char kIdentity[] = {
    0x08, 0x08, 0x3a, 0x37, 0x0a, 0x10, 0x0a, 0x01, 0x78, 0x12, 0x01, 0x79, 0x22,
    0x08, 0x49, 0x64, 0x65, 0x6e, 0x74, 0x69, 0x74, 0x79, 0x12, 0x01, 0x67, 0x5a,
    0x0f, 0x0a, 0x01, 0x78, 0x12, 0x0a, 0x0a, 0x08, 0x08, 0x01, 0x12, 0x04, 0x0a,
    0x02, 0x08, 0x01, 0x62, 0x0f, 0x0a, 0x01, 0x79, 0x12, 0x0a, 0x0a, 0x08, 0x08,
    0x01, 0x12, 0x04, 0x0a, 0x02, 0x08, 0x01, 0x42, 0x04, 0x0a, 0x00, 0x10, 0x0d};

struct PluginOptions {
  GraphOptimizationLevel level = ORT_ENABLE_ALL;
  bool arena = true;
  bool memory_pattern = true;
};

bool is_on(std::string_view key, std::string_view value) {
  if (value == "on") {
    return true;
  }
  if (value == "off") {
    return false;
  }
  throw Failure{
      SKERRY_E_INVALID,
      "option '" + std::string{key} + "' is '" + std::string{value} + "', expected on or off"};
}

PluginOptions read_options(const skerry_load_options& options) {
  PluginOptions out;
  for (std::size_t i = 0; i < options.option_count; ++i) {
    const std::string_view key = view(options.options[i].key);
    const std::string_view value = view(options.options[i].value);
    if (key == "arena") {
      out.arena = is_on(key, value);
    } else if (key == "memory_pattern") {
      out.memory_pattern = is_on(key, value);
    } else if (key == "optimization" && value == "all") {
      out.level = ORT_ENABLE_ALL;
    } else if (key == "optimization" && value == "basic") {
      out.level = ORT_ENABLE_BASIC;
    } else if (key == "optimization" && value == "off") {
      out.level = ORT_DISABLE_ALL;
    } else if (key == "optimization") {
      throw Failure{
          SKERRY_E_INVALID,
          "option 'optimization' is '" + std::string{value} + "', expected all, basic or off"};
    } else {
      throw Failure{SKERRY_E_INVALID,
                    "the onnx plugin has no option '" + std::string{key} +
                        "' (arena, memory_pattern and optimization exist)"};
    }
  }
  return out;
}

const skerry_file& model_file(const skerry_model_source& source) {
  const skerry_file* found = nullptr;
  for (std::size_t i = 0; i < source.file_count; ++i) {
    const skerry_file& file = source.files[i];
    const std::string_view role = view(file.role);
    if (role == "model") {
      if (found != nullptr) {
        throw Failure{SKERRY_E_INVALID, "more than one file has the role 'model'"};
      }
      found = &file;
    } else if (role != "external-data") {
      throw Failure{SKERRY_E_INVALID,
                    "file '" + std::string{view(file.name)} + "' has the role '" +
                        std::string{role} + "', which the onnx plugin does not know"};
    }
  }
  if (found == nullptr) {
    throw Failure{SKERRY_E_INVALID, "no file has the role 'model'"};
  }
  return *found;
}

// External data comes from memory and only from the files given: there is no folder to look in.
void add_external_data(OrtSessionOptions* options,
                       const skerry_model_source& source,
                       std::vector<MappedFile>& mapped) {
  std::vector<std::string> names;
  std::vector<char*> buffers;
  std::vector<std::size_t> lengths;
  for (std::size_t i = 0; i < source.file_count; ++i) {
    if (view(source.files[i].role) == "external-data") {
      const auto bytes = mapped.emplace_back(source.files[i]).bytes();
      names.emplace_back(view(source.files[i].name));
      // The API copies and does not write; it only lacks the const.
      buffers.push_back(const_cast<char*>(reinterpret_cast<const char*>(bytes.data())));
      lengths.push_back(bytes.size());
    }
  }
  if (names.empty()) {
    return;
  }
  std::vector<const char*> name_pointers;
  name_pointers.reserve(names.size());
  for (const auto& name : names) {
    name_pointers.push_back(name.c_str());
  }
  check(ort()->AddExternalInitializersFromFilesInMemory(
            options, name_pointers.data(), buffers.data(), lengths.data(), names.size()),
        SKERRY_E_MODEL,
        "external data");
}

TensorSpec read_spec(const std::string& name, const OrtTypeInfo* type) {
  ONNXType kind = ONNX_TYPE_UNKNOWN;
  check(ort()->GetOnnxTypeFromTypeInfo(type, &kind), SKERRY_E_MODEL, name);
  const OrtTensorTypeAndShapeInfo* info = nullptr;
  check(ort()->CastTypeInfoToTensorInfo(type, &info), SKERRY_E_MODEL, name);
  if (kind != ONNX_TYPE_TENSOR || info == nullptr) {
    throw Failure{SKERRY_E_MODEL, "'" + name + "' is no tensor; only tensors can be served"};
  }
  ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  check(ort()->GetTensorElementType(info, &element), SKERRY_E_MODEL, name);
  TensorSpec spec;
  spec.name = name;
  spec.type = find_onnx_type(element);
  if (spec.type == nullptr) {
    throw Failure{SKERRY_E_MODEL,
                  "'" + name + "' has the ONNX element type " + std::to_string(element) +
                      ", which the inference protocol cannot carry"};
  }
  std::size_t rank = 0;
  check(ort()->GetDimensionsCount(info, &rank), SKERRY_E_MODEL, name);
  if (rank > SKERRY_MAX_RANK) {
    throw Failure{SKERRY_E_MODEL,
                  "'" + name + "' has " + std::to_string(rank) + " dimensions, at most " +
                      std::to_string(SKERRY_MAX_RANK) + " can be served"};
  }
  spec.shape.resize(rank);
  check(ort()->GetDimensions(info, spec.shape.data(), rank), SKERRY_E_MODEL, name);
  for (auto& dimension : spec.shape) {
    dimension = std::max<std::int64_t>(dimension, -1);
  }
  return spec;
}

using GetName = OrtStatus*(ORT_API_CALL*)(const OrtSession*, std::size_t, OrtAllocator*, char**);
using GetType = OrtStatus*(ORT_API_CALL*)(const OrtSession*, std::size_t, OrtTypeInfo**);

std::vector<TensorSpec> read_specs(const OrtSession* session,
                                   std::size_t count,
                                   GetName get_name,
                                   GetType get_type) {
  OrtAllocator* allocator = nullptr;
  check(ort()->GetAllocatorWithDefaultOptions(&allocator), SKERRY_E_ENGINE, "allocator");
  std::vector<TensorSpec> specs;
  for (std::size_t i = 0; i < count; ++i) {
    char* raw = nullptr;
    check(get_name(session, i, allocator, &raw), SKERRY_E_MODEL, "names");
    const std::string name{raw};
    if (OrtStatus* status = ort()->AllocatorFree(allocator, raw); status != nullptr) {
      ort()->ReleaseStatus(status);
    }
    OrtTypeInfo* type = nullptr;
    check(get_type(session, i, &type), SKERRY_E_MODEL, name);
    const TypeInfo owned{type};
    specs.push_back(read_spec(name, type));
  }
  return specs;
}

std::vector<skerry_tensor_info> to_infos(const std::vector<TensorSpec>& specs) {
  std::vector<skerry_tensor_info> infos;
  infos.reserve(specs.size());
  for (const auto& spec : specs) {
    infos.push_back({.size = sizeof(skerry_tensor_info),
                     .name = str(spec.name),
                     .datatype = spec.type->datatype,
                     .rank = static_cast<std::uint32_t>(spec.shape.size()),
                     .shape = spec.shape.data()});
  }
  return infos;
}

std::uint64_t file_bytes(const skerry_model_source& source) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < source.file_count; ++i) {
    total += source.files[i].length;
  }
  return total;
}

}  // namespace

SessionOptions make_session_options(std::uint32_t threads, GraphOptimizationLevel level) {
  OrtSessionOptions* raw = nullptr;
  check(ort()->CreateSessionOptions(&raw), SKERRY_E_ENGINE, "session options");
  SessionOptions options{raw};
  // An explicit count also keeps ONNX Runtime from pinning its threads to cores.
  const int count = static_cast<int>(std::clamp<std::uint32_t>(threads, 1, 256));
  check(ort()->SetIntraOpNumThreads(raw, count), SKERRY_E_ENGINE, "threads");
  check(ort()->SetInterOpNumThreads(raw, 1), SKERRY_E_ENGINE, "threads");
  check(ort()->SetSessionExecutionMode(raw, ORT_SEQUENTIAL), SKERRY_E_ENGINE, "execution mode");
  check(ort()->SetSessionGraphOptimizationLevel(raw, level), SKERRY_E_ENGINE, "optimization");
  constexpr std::array<std::pair<const char*, const char*>, 4> kEntries{{
      {"session.intra_op.allow_spinning", "0"},
      {"session.inter_op.allow_spinning", "0"},
      {"session.force_spinning_stop", "1"},
      // Signed weights as unsigned ones where 8-bit products would saturate (AVX2 without VNNI).
      {"session.x64quantprecision", "1"},
  }};
  for (const auto& [key, value] : kEntries) {
    check(ort()->AddSessionConfigEntry(raw, key, value), SKERRY_E_ENGINE, key);
  }
  return options;
}

void warm_up(OrtEnv* env) {
  const SessionOptions options = make_session_options(2, ORT_ENABLE_ALL);
  OrtSession* session = nullptr;
  check(ort()->CreateSessionFromArray(env, kIdentity, sizeof kIdentity, options.get(), &session),
        SKERRY_E_ENGINE,
        "ONNX Runtime cannot start");
  const Session owned{session};
}

std::vector<skerry_memory_item> estimate_memory(const skerry_model_source& source) {
  const std::uint64_t bytes = file_bytes(source);
  return {{SKERRY_MEMORY_WEIGHTS, 0, bytes}, {SKERRY_MEMORY_COMPUTE, 0, kEngineBytes + bytes}};
}

std::unique_ptr<skerry_model> load_model(skerry_runtime& runtime,
                                         const skerry_model_source& source,
                                         const skerry_load_options& options) {
  if (const auto accelerator = view(options.accelerator);
      !accelerator.empty() && accelerator != "cpu") {
    throw Failure{SKERRY_E_UNSUPPORTED,
                  "the onnx plugin runs on the cpu, not on '" + std::string{accelerator} + "'"};
  }
  const PluginOptions plugin_options = read_options(options);
  const skerry_file& file = model_file(source);
  std::uint64_t needed = 0;
  for (const auto& item : estimate_memory(source)) {
    needed += item.bytes;
  }
  if (options.memory_limit != 0 && needed > options.memory_limit) {
    throw Failure{SKERRY_E_MEMORY,
                  "the model needs about " + std::to_string(needed) + " bytes, the limit is " +
                      std::to_string(options.memory_limit)};
  }
  auto model = std::make_unique<skerry_model>();
  model->pulse = runtime.pulse;
  std::memcpy(model->digest, source.digest, sizeof model->digest);
  const SessionOptions session_options =
      make_session_options(options.threads, plugin_options.level);
  OrtSessionOptions* raw = session_options.get();
  if (!plugin_options.arena) {
    check(ort()->DisableCpuMemArena(raw), SKERRY_E_ENGINE, "arena");
  } else {
    check(ort()->AddSessionConfigEntry(raw, "session.use_env_allocators", "1"),
          SKERRY_E_ENGINE,
          "arena");
  }
  if (!plugin_options.memory_pattern) {
    check(ort()->DisableMemPattern(raw), SKERRY_E_ENGINE, "memory pattern");
  }
  {
    const Pulse::Work work{*runtime.pulse, model.get(), 0, nullptr};
    std::vector<MappedFile> mapped;
    mapped.reserve(source.file_count);
    const auto bytes = mapped.emplace_back(file).bytes();
    add_external_data(raw, source, mapped);
    OrtSession* session = nullptr;
    check(
        ort()->CreateSessionFromArray(runtime.env.get(), bytes.data(), bytes.size(), raw, &session),
        SKERRY_E_MODEL,
        "file '" + std::string{view(file.name)} + "'");
    model->session.reset(session);
    if (work.cancelled()) {
      throw Failure{SKERRY_E_CANCELLED, "loading was cancelled"};
    }
  }
  OrtMemoryInfo* cpu = nullptr;
  check(ort()->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &cpu),
        SKERRY_E_ENGINE,
        "memory");
  model->cpu.reset(cpu);
  std::size_t count = 0;
  check(ort()->SessionGetInputCount(model->session.get(), &count), SKERRY_E_MODEL, "inputs");
  model->inputs = read_specs(
      model->session.get(), count, ort()->SessionGetInputName, ort()->SessionGetInputTypeInfo);
  check(ort()->SessionGetOutputCount(model->session.get(), &count), SKERRY_E_MODEL, "outputs");
  model->outputs = read_specs(
      model->session.get(), count, ort()->SessionGetOutputName, ort()->SessionGetOutputTypeInfo);
  model->input_infos = to_infos(model->inputs);
  model->output_infos = to_infos(model->outputs);
  model->memory = {{SKERRY_MEMORY_WEIGHTS, 0, file_bytes(source)}};
  model->max_concurrency = std::clamp<std::uint32_t>(options.max_sequences, 1, 16);
  return model;
}

}  // namespace skerry_onnx
