// What becomes of the requests of a worker that died: those it cannot have died of and that have
// answered nothing are given to the next worker, once; what it may have died of is remembered.

#include <algorithm>
#include <utility>

#include "skerry/common/digest.hpp"

#include "model_host.hpp"

namespace skerry::runtime {
namespace {

// A request waits no longer than this for another worker.
constexpr std::chrono::seconds kReplayPatience{10};
// Larger requests are neither kept nor remembered: answers are not worth a second copy of an image.
constexpr std::size_t kMostKept = std::size_t{1} << 20U;

// What can kill an engine; who asks, how urgently and with which seed does not matter.
std::string content_of(const worker::v1::Submit& submit) {
  if (submit.has_generate()) {
    worker::v1::Prompt prompt = submit.generate().prompt();
    if (prompt.has_chat()) {
      prompt.mutable_chat()->clear_now();  // the same chat is the same a minute later
    }
    // The worker follows the grammar too: without it a hostile one would have a prompt refused to
    // everybody.
    return prompt.SerializeAsString() + '\0' + submit.generate().grammar();
  }
  if (submit.has_score()) {
    return submit.score().prompt().SerializeAsString();
  }
  if (submit.has_embed()) {
    return submit.embed().SerializeAsString();
  }
  if (submit.has_infer()) {
    return submit.infer().SerializeAsString();
  }
  return submit.tokenize().SerializeAsString();
}

}  // namespace

void ModelHost::remember(InFlight& request) {
  if (request.message->ByteSizeLong() <= kMostKept) {
    request.content = Digest::of(content_of(request.message->submit()));
  }
}

std::optional<Error> ModelHost::refuse_suspect(const InFlight& request) const {
  if (!request.content) {
    return std::nullopt;
  }
  const auto left = suspects_.refused_for(context_->clock.boot_now(), *request.content);
  if (left <= std::chrono::nanoseconds{0}) {
    return std::nullopt;
  }
  const auto minutes = std::chrono::ceil<std::chrono::minutes>(left).count();
  return Error{Error::Code::kQuarantined,
               "this request ended the worker the last time; it is not run again for " +
                   std::to_string(minutes) + " minutes"};
}

std::uint32_t ModelHost::settle(const Error& error, bool of_itself) {
  const BootTime now = context_->clock.boot_now();
  if (of_itself) {
    std::vector<Digest> begun;
    for (const auto& [key, request] : requests_) {
      if (request.begun && request.content) {
        begun.push_back(*request.content);
      }
    }
    suspects_.on_death(now, begun);
  }
  const bool soon = restarts_.wait(now) <= kReplayPatience;
  std::map<RequestKey, InFlight> lost = std::exchange(requests_, {});
  for (auto entry = lost.begin(); entry != lost.end();) {
    InFlight& request = entry->second;
    const bool harmless = !(request.begun && of_itself);
    if (soon && harmless && request.message && !request.replayed) {
      request.sent = false;
      request.begun = false;
      request.replayed = true;
      requests_.insert(lost.extract(entry++));
    } else {
      ++entry;
    }
  }
  update_status();
  for (auto& [key, request] : lost) {
    request.sink(
        Failure{.error = error, .retryable = !request.answered && !refuse_suspect(request)});
  }
  if (!requests_.empty()) {
    spawn_counted(context_, replay(shared_from_this()));
  }
  return static_cast<std::uint32_t>(lost.size());
}

Task<void> ModelHost::replay(std::shared_ptr<ModelHost> self) {
  // Another call may start the worker first, an unloading take the requests away.
  while (self->phase_ == Phase::kStopped && !self->requests_.empty()) {
    const auto wait = self->restarts_.wait(self->context_->clock.boot_now());
    if (wait <= std::chrono::nanoseconds{0}) {
      self->start_worker();
      break;
    }
    const auto until = std::chrono::steady_clock::now() + wait;
    co_await self->changed_.wait_until(until);
  }
}

}  // namespace skerry::runtime
