// The second tier of the prefix cache: between a worker, which has no files, and the shelf that
// keeps its states. What a worker says is checked here, and the model is what this host knows of
// it.

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <utility>

#include <sys/stat.h>

#include "model_host.hpp"
#include "wire.hpp"

namespace skerry::runtime {
namespace {

// Answers take memory; a worker that asks for more at once is told that there is nothing.
constexpr std::size_t kMostLooking = 16;
constexpr int kNeededSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Error garbage(const std::string& what) {
  return Error{Error::Code::kWorkerLost, "the worker sent garbage: " + what};
}

// Memory that nobody can change or shorten while it is read.
bool is_sealed(const UniqueFd& fd, std::uint64_t size) {
  struct stat status {};
  const int seals = fd ? ::fcntl(fd.get(), F_GET_SEALS) : -1;
  return seals >= 0 && (seals & kNeededSeals) == kNeededSeals && ::fstat(fd.get(), &status) == 0 &&
         static_cast<std::uint64_t>(status.st_size) == size;
}

}  // namespace

std::uint64_t ModelHost::state_limit() const {
  PrefixShelf* const shelf = context_->options.prefix_shelf;
  return shelf != nullptr && spec_.prefix_cache ? shelf->largest() : 0;
}

// What the engine calls its states, and what it does not know of: which engine it is, and what else
// than the weights it was given.
std::string ModelHost::shelf_format(const std::string& engine) const {
  std::string beside;
  for (const ModelFile& file : spec_.files) {
    beside += file.digest == spec_.model ? "" : file.role + '\0' + file.digest.raw();
  }
  for (const auto& [key, value] : spec_.options) {
    beside += key + '\0' + value + '\0';
  }
  constexpr std::size_t kShort = 16;
  return spec_.plugin + ": " + engine +
         (beside.empty() ? "" : ", " + Digest::of(beside).hex().substr(0, kShort));
}

Result<void> ModelHost::take_prefix(const worker::v1::PrefixSave& save, UniqueFd descriptor) {
  auto parsed = wire::parse_prefix(save);
  if (!parsed) {
    return garbage(parsed.error().message());
  }
  const std::uint64_t most = state_limit();
  if (most == 0 || parsed->size > most || keeping_ || !is_sealed(descriptor, parsed->size)) {
    return garbage("a state of a prefix that was not asked for, too large or not sealed");
  }
  keeping_ = true;
  // Only of a model that has any.
  parsed->state.pinned = parsed->state.pinned && !spec_.prompts.empty();
  parsed->state.format = shelf_format(parsed->state.format);
  spawn_counted(context_,
                keep_prefix(shared_from_this(),
                            link_,
                            std::move(parsed->state),
                            PrefixBytes{.fd = std::move(descriptor), .size = parsed->size}));
  return {};
}

Task<void> ModelHost::keep_prefix(std::shared_ptr<ModelHost> self,
                                  std::shared_ptr<WorkerLink> link,
                                  PrefixState state,
                                  PrefixBytes bytes) {
  PrefixShelf& shelf = *self->context_->options.prefix_shelf;
  co_await shelf.save(self->spec_.model, std::move(state), std::move(bytes));
  if (self->link_ == link) {
    self->keeping_ = false;
    worker::v1::ToWorker message;
    message.mutable_prefix_taken();
    static_cast<void>(link->send(message));
  }
}

Result<void> ModelHost::take_question(const worker::v1::PrefixQuery& query) {
  auto parsed = wire::parse_question(query);
  if (!parsed) {
    return garbage(parsed.error().message());
  }
  if (state_limit() == 0) {
    return garbage("a question for a prefix, though none are kept");
  }
  if (looking_ >= kMostLooking) {
    worker::v1::ToWorker message;
    message.mutable_prefix_answer()->set_key(parsed->key);
    return link_->send(message);
  }
  ++looking_;
  if (parsed->pinned && !spec_.prompts.empty()) {
    context_->options.prefix_shelf->hold(spec_.model, parsed->names.front());
  }
  spawn_counted(context_,
                look_for_prefix(shared_from_this(),
                                link_,
                                parsed->key,
                                shelf_format(parsed->format),
                                std::move(parsed->names)));
  return {};
}

Task<void> ModelHost::look_for_prefix(std::shared_ptr<ModelHost> self,
                                      std::shared_ptr<WorkerLink> link,
                                      RequestKey key,
                                      std::string format,
                                      std::vector<Digest> names) {
  PrefixShelf& shelf = *self->context_->options.prefix_shelf;
  const auto found = co_await shelf.find(self->spec_.model, std::move(format), std::move(names));
  if (self->link_ != link) {
    co_return;
  }
  --self->looking_;
  worker::v1::ToWorker message;
  worker::v1::PrefixAnswer& answer = *message.mutable_prefix_answer();
  answer.set_key(key);
  std::vector<int> descriptors;
  if (found) {
    answer.set_tokens(found->tokens);
    answer.set_common(found->common);
    answer.set_size(found->bytes.size);
    descriptors.push_back(found->bytes.fd.get());
  }
  static_cast<void>(link->send(message, descriptors));
}

Result<void> ModelHost::take_drop(const worker::v1::PrefixDrop& drop) {
  const auto name = Digest::from_bytes(as_bytes(drop.name()));
  if (!name || state_limit() == 0) {
    return garbage("a refusal of a prefix that makes no sense");
  }
  context_->options.prefix_shelf->drop(spec_.model, *name);
  return {};
}

// How the pinned prompts are. What is wrong with one is said once in the log.
Result<void> ModelHost::take_pins(const worker::v1::PromptStates& states) {
  auto pins = wire::parse_pins(states);
  if (!pins) {
    return garbage(pins.error().message());
  }
  std::vector<PinStatus> before;
  {
    const std::lock_guard lock{status_mutex_};
    before = std::exchange(status_.prompts, *pins);
  }
  for (const PinStatus& pin : *pins) {
    if (pin.state == PinState::kFailed &&
        std::find(before.begin(), before.end(), pin) == before.end()) {
      const std::vector<LogField> fields{{"plugin", spec_.plugin},
                                         {"model", spec_.model.to_string()},
                                         {"prompt", pin.name},
                                         {"problem", pin.problem}};
      context_->log.warning("worker.prompt_not_kept", fields);
    }
  }
  return {};
}

}  // namespace skerry::runtime
