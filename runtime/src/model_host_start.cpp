// The start of a worker: what it is told and what it must answer.

#include <cerrno>
#include <fcntl.h>

#include "model_host.hpp"
#include "wire.hpp"

namespace skerry::runtime {
namespace {

// Address space is cheap; the limit only stops what has gone wild.
constexpr std::uint64_t kSpareAddressSpace = std::uint64_t{2} << 30U;

bool is_plugin_name(const std::string& name) {
  return !name.empty() &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string::npos;
}

// A descriptor of the same file with an offset of its own, so that two workers do not move each
// other's. The file is the one that was verified: the link leads to the open inode, not to a name.
Result<UniqueFd> reopen(const UniqueFd& fd) {
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  UniqueFd own{::open(link.c_str(), O_RDONLY | O_CLOEXEC)};
  if (own) {
    return own;
  }
  return fd.duplicate();
}

}  // namespace

Result<void> ModelHost::send_setup(WorkerLink& link) {
  const SupervisorOptions& options = context_->options;
  if (!is_plugin_name(spec_.plugin)) {
    return Error{Error::Code::kPluginInvalid,
                 "\"" + spec_.plugin + "\" is not the name of a runtime plugin"};
  }
  worker::v1::ToWorker message;
  worker::v1::Setup& setup = *message.mutable_setup();
  setup.set_plugin_path((options.plugin_dir / ("skerry-" + spec_.plugin + ".so")).string());
  setup.set_engine_dir(options.engine_dir.string());
  setup.set_uid(options.worker_uid);
  setup.set_gid(options.worker_gid);
  setup.set_niceness(options.niceness);
  if (spec_.memory_limit != 0) {
    std::uint64_t files = 0;
    for (const ModelFile& file : spec_.files) {
      files += file.length;
    }
    setup.set_data_limit(spec_.memory_limit);
    setup.set_address_space_limit(spec_.memory_limit + 2 * files + kSpareAddressSpace);
  }
  return link.send(message);
}

Result<void> ModelHost::take_setup(const worker::v1::SetupDone& done) {
  info_.digest = spec_.model;
  info_.plugin = spec_.plugin;
  if (!described_) {
    info_.plugin_version = done.plugin_version();
    info_.engine_version = done.engine_version();
    info_.sandbox = wire::parse_sandbox(done);
  }
  return security::check_requirement(wire::parse_sandbox(done), spec_.sandbox);
}

Result<void> ModelHost::send_load(WorkerLink& link) {
  worker::v1::ToWorker message;
  worker::v1::Load& load = *message.mutable_load();
  load.set_model(spec_.model.raw());
  std::vector<UniqueFd> descriptors;
  std::vector<int> numbers;
  for (const ModelFile& file : spec_.files) {
    auto own = reopen(file.fd);
    if (!own) {
      return own.error().with_context("handing over " + file.name);
    }
    wire::put_file(PluginFile{.name = file.name,
                              .role = file.role,
                              .fd = -1,
                              .offset = file.offset,
                              .length = file.length,
                              .digest = file.digest},
                   *load.add_files());
    numbers.push_back(own->get());
    descriptors.push_back(std::move(*own));
  }
  load.set_accelerator(spec_.accelerator);
  load.set_context_length(spec_.context_length);
  load.set_max_sequences(spec_.max_sequences);
  load.set_max_rows(spec_.max_rows);
  load.set_threads(spec_.threads);
  load.set_fixed_threads(!spec_.adapt_threads);
  load.set_inter_token_target_ms(static_cast<std::uint32_t>(spec_.inter_token_target.count()));
  load.set_no_prefix_cache(!spec_.prefix_cache);
  load.set_prefix_cache_tokens(spec_.prefix_cache_tokens);
  load.set_prefix_state_limit(state_limit());
  load.set_no_drafting(!spec_.drafting);
  load.set_memory_limit(spec_.memory_limit);
  load.set_max_queued(spec_.max_queued);
  for (const auto& [key, value] : spec_.options) {
    worker::v1::Option& option = *load.add_options();
    option.set_key(key);
    option.set_value(value);
  }
  wire::put_prompts(spec_.prompts, load);
  deadline_ = std::chrono::steady_clock::now() + context_->options.load_timeout;
  deadline_reason_ = "did not load the model in time";
  watching_.notify();
  return link.send(message, numbers);
}

}  // namespace skerry::runtime
