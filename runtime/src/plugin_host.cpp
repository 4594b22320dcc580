#include "skerry/runtime/plugin_host.hpp"

#include <dlfcn.h>
#include <time.h>

#include "plugin_abi.hpp"

namespace skerry::runtime {
namespace {

class PluginImpl final : public Plugin {
 public:
  PluginImpl(const skerry_plugin& table, HostServices services)
      : table_(table), services_(std::move(services)) {
    host_.size = sizeof host_;
    host_.abi_major = SKERRY_ABI_MAJOR;
    host_.abi_minor = SKERRY_ABI_MINOR;
    host_.ctx = this;
    host_.log = [](void* ctx, std::uint32_t level, skerry_str message) {
      const auto& log = static_cast<PluginImpl*>(ctx)->services_.log;
      if (log) {
        log(level > SKERRY_LOG_ERROR ? LogLevel::kError : static_cast<LogLevel>(level),
            from_abi(message));
      }
    };
    host_.now_ns = [](void*) -> std::uint64_t {
      timespec now{};
      clock_gettime(CLOCK_BOOTTIME, &now);
      return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
             static_cast<std::uint64_t>(now.tv_nsec);
    };
    host_.heartbeat = [](void* ctx) {
      const auto& heartbeat = static_cast<PluginImpl*>(ctx)->services_.heartbeat;
      if (heartbeat) {
        heartbeat();
      }
    };
    host_.should_stop = [](void* ctx) -> int {
      const auto& should_stop = static_cast<PluginImpl*>(ctx)->services_.should_stop;
      return should_stop && should_stop() ? 1 : 0;
    };
  }
  ~PluginImpl() override {
    if (runtime_ != nullptr) {
      table_.fini(runtime_);
    }
  }
  PluginImpl(const PluginImpl&) = delete;
  PluginImpl& operator=(const PluginImpl&) = delete;

  Result<void> init(const PluginOptions& options) {
    AbiError error;
    const std::vector<skerry_option> abi_options = to_abi(options);
    if (const std::uint32_t status =
            table_.init(&host_, abi_options.data(), abi_options.size(), &runtime_, &error);
        status != SKERRY_OK) {
      runtime_ = nullptr;
      return Error{Error::Code::kWorkerSetup, error.text()};
    }
    skerry_capabilities out{};
    out.size = sizeof out;
    if (const std::uint32_t status = table_.capabilities(runtime_, &out, &error);
        status != SKERRY_OK) {
      return error.to_error(status);
    }
    capabilities_.name = from_abi(table_.name);
    capabilities_.version = from_abi(table_.version);
    capabilities_.engine_version = from_abi(out.engine_version);
    const auto copy = [](const skerry_str* items, std::size_t count) {
      std::vector<std::string> list;
      for (std::size_t i = 0; i < count; ++i) {
        list.emplace_back(from_abi(items[i]));
      }
      return list;
    };
    capabilities_.formats = copy(out.formats, out.format_count);
    capabilities_.accelerators = copy(out.accelerators, out.accelerator_count);
    capabilities_.quantize_types = copy(out.quantize_types, out.quantize_type_count);
    return {};
  }

  [[nodiscard]] const PluginCapabilities& capabilities() const override { return capabilities_; }

  Result<std::unique_ptr<PluginModel>> load(const PluginLoad& load) override {
    const AbiSource source{load.files, load.model};
    const std::vector<skerry_option> options = to_abi(load.options);
    const skerry_load_options abi = load_options(load, options);
    AbiError error;
    skerry_model* model = nullptr;
    const std::uint32_t status = table_.load(runtime_, source.get(), &abi, &model, &error);
    if (status != SKERRY_OK) {
      return error.to_error(status);
    }
    if (model == nullptr) {
      return Error{Error::Code::kPluginInvalid, "the plugin loaded a model and gave none"};
    }
    return make_plugin_model(table_, model, load, capabilities_);
  }

  Result<MemoryUse> estimate(const PluginLoad& load) override {
    if (table_.estimate == nullptr) {
      return Error{Error::Code::kUnimplemented, "the plugin cannot estimate memory"};
    }
    const AbiSource source{load.files, load.model};
    const std::vector<skerry_option> options = to_abi(load.options);
    const skerry_load_options abi = load_options(load, options);
    skerry_memory_item items[16] = {};
    std::size_t count = 0;
    AbiError error;
    const std::uint32_t status =
        table_.estimate(runtime_, source.get(), &abi, items, std::size(items), &count, &error);
    if (status != SKERRY_OK) {
      return error.to_error(status);
    }
    return sum_memory(items, std::min(count, std::size(items)));
  }

  Result<void> quantize(const PluginQuantize& job) override {
    if (table_.tools == nullptr || table_.tools->quantize == nullptr) {
      return Error{Error::Code::kUnimplemented,
                   "the plugin " + capabilities_.name + " cannot quantize"};
    }
    const AbiSource source{job.files, Digest{}};
    const std::vector<skerry_option> options = to_abi(job.options);
    const skerry_file data = to_abi(job.data);
    auto progress = job.progress;
    skerry_quantize_request request{};
    request.size = sizeof request;
    request.source = source.get();
    request.type = to_abi(job.type);
    request.output_fd = job.output_fd;
    request.threads = job.threads;
    request.data = job.data.fd >= 0 ? &data : nullptr;
    request.options = options.data();
    request.option_count = options.size();
    request.progress_ctx = &progress;
    request.progress = [](void* ctx, float fraction) -> int {
      const auto& report = *static_cast<std::function<bool(float)>*>(ctx);
      return report && !report(fraction) ? 1 : 0;
    };
    AbiError error;
    const std::uint32_t status = table_.tools->quantize(runtime_, &request, &error);
    return status == SKERRY_OK ? Result<void>{} : Result<void>{error.to_error(status)};
  }

  static MemoryUse sum_memory(const skerry_memory_item* items, std::size_t count) {
    MemoryUse use;
    for (std::size_t i = 0; i < count; ++i) {
      switch (items[i].kind) {
        case SKERRY_MEMORY_WEIGHTS_MAPPED:
          use.weights_mapped += items[i].bytes;
          break;
        case SKERRY_MEMORY_WEIGHTS:
          use.weights += items[i].bytes;
          break;
        case SKERRY_MEMORY_KV:
          use.kv += items[i].bytes;
          break;
        default:
          use.compute += items[i].bytes;
          break;
      }
    }
    return use;
  }

 private:
  static skerry_load_options load_options(const PluginLoad& load,
                                          const std::vector<skerry_option>& options) {
    skerry_load_options abi{};
    abi.size = sizeof abi;
    abi.accelerator = to_abi(load.accelerator);
    abi.context_length = load.context_length;
    abi.max_sequences = std::max(load.max_sequences, 1U);
    abi.spare_sequences = load.spare_sequences;
    abi.max_rows = std::max(load.max_rows, 1U);
    abi.threads = std::max(load.threads, 1U);
    abi.memory_limit = load.memory_limit;
    abi.options = options.data();
    abi.option_count = options.size();
    return abi;
  }

  const skerry_plugin& table_;
  HostServices services_;
  skerry_host host_{};
  skerry_runtime* runtime_ = nullptr;
  PluginCapabilities capabilities_;
};

// Names the first hole in the table; empty if it is whole.
std::string_view find_hole(const skerry_plugin& table) {
  if (table.init == nullptr || table.fini == nullptr || table.capabilities == nullptr ||
      table.load == nullptr || table.unload == nullptr || table.info == nullptr) {
    return "a function that every plugin must have";
  }
  if (table.step == nullptr && table.infer == nullptr) {
    return "both styles, step and infer";
  }
  if (const skerry_step* step = table.step; step != nullptr) {
    // Fields after these came later: plugin_model.cpp asks for each.
    if (step->size < offsetof(skerry_step, set_threads) || step->decode == nullptr ||
        step->logits == nullptr || step->embedding == nullptr || step->seq_remove == nullptr ||
        step->tokenize == nullptr || step->piece == nullptr || step->is_end == nullptr ||
        step->apply_template == nullptr) {
      return "a function of the step style";
    }
  }
  if (const skerry_infer* infer = table.infer; infer != nullptr) {
    if (infer->size < sizeof(skerry_infer) || infer->run == nullptr || infer->cancel == nullptr) {
      return "a function of the infer style";
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Plugin>> Plugin::open(const std::filesystem::path& library,
                                             const PluginOptions& options,
                                             HostServices services) {
  const auto invalid = [&](std::string_view why) {
    return Error{Error::Code::kPluginInvalid,
                 "the plugin " + library.string() + " cannot be used: " + std::string{why}};
  };
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* reason = dlerror();  // NOLINT(concurrency-mt-unsafe): thread-local in glibc
    return invalid(reason != nullptr ? reason : "it cannot be opened");
  }
  // dlsym returns a data pointer: POSIX guarantees that it converts.
  const auto get = reinterpret_cast<skerry_get_plugin_fn>(dlsym(handle, SKERRY_GET_PLUGIN_SYMBOL));
  if (get == nullptr) {
    return invalid("it does not export skerry_get_plugin");
  }
  const skerry_plugin* table = get(SKERRY_ABI_MAJOR, SKERRY_ABI_MINOR);
  if (table == nullptr || table->size < sizeof(skerry_plugin) ||
      table->abi_major != SKERRY_ABI_MAJOR || table->abi_minor > SKERRY_ABI_MINOR) {
    return invalid("it is made for another version of the plugin ABI than 1.0");
  }
  if (const std::string_view hole = find_hole(*table); !hole.empty()) {
    return invalid("it lacks " + std::string{hole});
  }
  auto plugin = std::make_unique<PluginImpl>(*table, std::move(services));
  if (auto ready = plugin->init(options); !ready) {
    return ready.error().with_context("starting the engine of " + library.filename().string());
  }
  return std::unique_ptr<Plugin>{std::move(plugin)};
}

}  // namespace skerry::runtime
