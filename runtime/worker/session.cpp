#include "session.hpp"

#include <utility>

#include <sys/resource.h>

#include "skerry/runtime/text_filter.hpp"
#include "skerry/security/sandbox.hpp"

#include "wire.hpp"

namespace skerry::runtime {
namespace {

using worker::v1::FromWorker;
using worker::v1::ToWorker;

// Room for what the engine needs beside the model: stacks, tables, the C++ runtime.
constexpr std::uint64_t kDataHeadroom = 24U << 20U;
// Idle prefixes that a model keeps at most.
constexpr std::uint32_t kKeptPrefixes = 12;

Error out_of_order(std::string_view what) {
  return Error{Error::Code::kFailedPrecondition, std::string{what} + " is out of order"};
}

Result<std::vector<PluginFile>> match_files(
    const google::protobuf::RepeatedPtrField<worker::v1::File>& named,
    const std::vector<UniqueFd>& files) {
  if (static_cast<std::size_t>(named.size()) > files.size()) {
    return Error{Error::Code::kParse, "fewer descriptors than files arrived"};
  }
  std::vector<PluginFile> matched;
  for (int i = 0; i < named.size(); ++i) {
    auto file = wire::parse_file(named[i]);
    if (!file) {
      return file.error();
    }
    file->fd = files[static_cast<std::size_t>(i)].get();
    matched.push_back(std::move(*file));
  }
  return matched;
}

PluginOptions options_of(const google::protobuf::RepeatedPtrField<worker::v1::Option>& in) {
  PluginOptions options;
  for (const worker::v1::Option& option : in) {
    options.emplace_back(option.key(), option.value());
  }
  return options;
}

}  // namespace

HostServices Session::services() {
  HostServices services;
  services.log = [this](LogLevel level, std::string_view text) {
    if (level < LogLevel::kWarning) {
      return;
    }
    FromWorker message;
    message.mutable_log()->set_level(static_cast<std::uint32_t>(level));
    message.mutable_log()->set_message(to_valid_utf8(text.substr(0, 1024)));
    channel_.send(message);
  };
  services.heartbeat = [this] { signals_.progress.fetch_add(1, std::memory_order_relaxed); };
  services.should_stop = [this] { return signals_.stop.load(std::memory_order_relaxed); };
  return services;
}

Result<void> Session::set_up(const worker::v1::Setup& setup, std::vector<UniqueFd> files) {
  if (plugin_) {
    return out_of_order("Setup");
  }
  // Control threads stay responsive while a model computes; best effort.
  setpriority(PRIO_PROCESS, 0, setup.niceness());
  security::SandboxPolicy policy;
  policy.uid = setup.uid();
  policy.gid = setup.gid();
  for (std::size_t i = 0; i < files.size(); ++i) {
    (i < setup.reopen_read() ? policy.reopen_read : policy.reopen_write).push_back(files[i].get());
  }
  setup_files_ = std::move(files);
  CpuProbe probe = CpuProbe::open();
  security::SandboxReport report = security::restrict_early(policy);
  die_with_parent();

  PluginOptions options;
  if (!setup.engine_dir().empty()) {
    options.emplace_back("engine_dir", setup.engine_dir());
  }
  auto plugin = Plugin::open(setup.plugin_path(), options, services());
  if (!plugin) {
    return plugin.error();
  }
  plugin_ = std::move(*plugin);

  // The limits come on top of what the process has now.
  const MemoryFigures now = memory_.read();
  if (setup.data_limit() != 0) {
    policy.data_limit = now.data + setup.data_limit() + kDataHeadroom;
  }
  if (setup.address_space_limit() != 0) {
    policy.address_space_limit = now.address_space + setup.address_space_limit();
  }
  security::restrict_late(policy, report);
  // Threads made from here on inherit every restriction.
  engine_ = std::make_unique<Engine>(*plugin_, channel_, signals_, std::move(probe));

  FromWorker message;
  worker::v1::SetupDone& done = *message.mutable_setup_done();
  const PluginCapabilities& capabilities = plugin_->capabilities();
  done.set_plugin(capabilities.name);
  done.set_plugin_version(capabilities.version);
  done.set_engine_version(capabilities.engine_version);
  for (const std::string& type : capabilities.quantize_types) {
    done.add_quantize_types(type);
  }
  for (const std::string& accelerator : capabilities.accelerators) {
    done.add_accelerators(accelerator);
  }
  wire::put_sandbox(report, done);
  channel_.send(message);
  return {};
}

Result<void> Session::load(const worker::v1::Load& load, std::vector<UniqueFd> files) {
  if (!engine_ || loading_) {
    return out_of_order("Load");
  }
  loading_ = true;
  auto model = Digest::from_bytes(as_bytes(load.model()));
  auto matched = match_files(load.files(), files);
  if (!model) {
    return model.error();
  }
  if (!matched) {
    return matched.error();
  }
  Engine::Plan plan;
  plan.load = PluginLoad{.model = *model,
                         .files = std::move(*matched),
                         .accelerator = load.accelerator(),
                         .context_length = load.context_length(),
                         .max_sequences = load.max_sequences(),
                         .spare_sequences = load.no_prefix_cache() ? 0 : kKeptPrefixes,
                         .max_rows = load.max_rows(),
                         .threads = load.threads(),
                         .memory_limit = load.memory_limit(),
                         .options = options_of(load.options())};
  plan.max_queued = load.max_queued();
  plan.adapt_threads = !load.fixed_threads();
  plan.inter_token_target = std::chrono::milliseconds{load.inter_token_target_ms()};
  plan.prefix_cache = !load.no_prefix_cache();
  plan.kept_tokens = load.prefix_cache_tokens();
  plan.state_limit = load.prefix_state_limit();
  plan.drafting = !load.no_drafting();
  plan.prompts = wire::parse_prompts(load);
  engine_->load(std::move(plan), std::move(files));
  return {};
}

Result<void> Session::submit(worker::v1::Submit& submit) {
  if (!engine_) {
    return out_of_order("Submit");
  }
  const std::uint64_t key = submit.key();
  auto request = wire::parse_request(submit);
  if (!request) {
    FromWorker message;
    wire::put_event(
        key,
        Failure{.error = Error{Error::Code::kInvalidArgument, request.error().message()},
                .retryable = false},
        *message.mutable_event());
    channel_.send(message);
    return {};
  }
  engine_->submit(key, std::move(*request));
  return {};
}

Result<void> Session::quantize(const worker::v1::Quantize& job) {
  if (!engine_ || loading_) {
    return out_of_order("Quantize");
  }
  loading_ = true;
  auto files = match_files(job.files(), setup_files_);
  if (!files) {
    return files.error();
  }
  std::size_t next = files->size();
  PluginQuantize work{.files = std::move(*files),
                      .data = {},
                      .type = job.type(),
                      .output_fd = -1,
                      .threads = job.threads(),
                      .options = options_of(job.options()),
                      .progress = {}};
  if (job.has_data()) {
    auto data = wire::parse_file(job.data());
    if (!data || next >= setup_files_.size()) {
      return wire::malformed("calibration file");
    }
    work.data = std::move(*data);
    work.data.fd = setup_files_[next++].get();
  }
  if (next >= setup_files_.size()) {
    return wire::malformed("output descriptor");
  }
  work.output_fd = setup_files_[next].get();
  work.progress = [this](float fraction) {
    FromWorker message;
    message.mutable_quantize_progress()->set_fraction(fraction);
    channel_.send(message);
    return !signals_.stop.load();
  };
  engine_->post([this, work = std::move(work)] {
    auto outcome = plugin_->quantize(work);
    if (!outcome) {
      channel_.send_failure(outcome.error());
      return;
    }
    FromWorker message;
    message.mutable_quantize_done();
    channel_.send(message);
  });
  return {};
}

void Session::answer(const worker::v1::Ping& ping) {
  const MemoryFigures memory = memory_.read();
  FromWorker message;
  worker::v1::Pong& pong = *message.mutable_pong();
  pong.set_number(ping.number());
  pong.set_progress(signals_.progress.load());
  pong.set_busy(engine_ && engine_->busy());
  pong.set_resident_bytes(memory.resident);
  pong.set_peak_resident_bytes(memory.peak_resident);
  if (engine_) {
    const CpuFacts cpu = engine_->cpu_facts();
    pong.set_threads(cpu.threads);
    pong.set_most_threads(cpu.most_threads);
    pong.set_other_cores(static_cast<float>(cpu.others));
    pong.set_cpu_state(static_cast<std::uint32_t>(cpu.state));
  }
  channel_.send(message);
}

bool Session::handle(Received received, int& status) {
  ToWorker& message = received.message;
  Result<void> handled;
  switch (message.message_case()) {
    case ToWorker::kSetup:
      handled = set_up(message.setup(), std::move(received.files));
      break;
    case ToWorker::kLoad:
      handled = load(message.load(), std::move(received.files));
      break;
    case ToWorker::kSubmit:
      handled = submit(*message.mutable_submit());
      break;
    case ToWorker::kCancel:
      if (engine_) {
        engine_->cancel(message.cancel().key());
      }
      break;
    case ToWorker::kPing:
      answer(message.ping());
      break;
    case ToWorker::kQuantize:
      handled = quantize(message.quantize());
      break;
    case ToWorker::kPrefixAnswer:
      if (engine_) {
        engine_->prefix_answered(
            message.prefix_answer(),
            received.files.empty() ? UniqueFd{} : std::move(received.files.front()));
      }
      break;
    case ToWorker::kPrefixTaken:
      if (engine_) {
        engine_->prefix_taken();
      }
      break;
    case ToWorker::kStop:
      signals_.stop = true;
      status = 0;
      return false;
    case ToWorker::MESSAGE_NOT_SET:
      handled = wire::malformed("kind");
      break;
  }
  if (!handled) {
    channel_.send_failure(handled.error());
    status = 1;
    return false;
  }
  return true;
}

}  // namespace skerry::runtime
