#pragma once

// Collects one chat answer for an HTTP session: the service layer pushes, the session's coroutine
// takes. What is not taken yet is joined text, so it is bounded by the answer. Control thread.

#include <optional>
#include <string>

#include "skerry/agent/inference.hpp"
#include "skerry/agent/notifier.hpp"

namespace skerry::agent {

class ChatStream final : public TextSink {
 public:
  explicit ChatStream(Core& core) : changed_(core.control) {}

  void started(const ServedModel& model,
               const runtime::ModelInfo& info,
               const std::string& request_id,
               const runtime::Started& facts) override;
  void delta(std::string text, std::size_t tokens) override;
  void done(const runtime::Done& done, std::chrono::nanoseconds first_token) override;
  void failed(const Error& error, bool retryable) override;
  [[nodiscard]] bool abandoned() const override { return abandoned_; }
  void submitted(runtime::RequestHandle handle) override;

  // The client went away: stops the work.
  void abandon();
  // Returns when there is something to take, or after `limit`.
  Task<void> wait(std::chrono::nanoseconds limit);
  [[nodiscard]] std::string take_text() { return std::exchange(text_, {}); }
  [[nodiscard]] bool has_started() const { return started_; }
  [[nodiscard]] bool ended() const { return done_ || error_; }
  [[nodiscard]] const std::optional<runtime::Done>& result() const { return done_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] const std::string& model() const { return model_; }

 private:
  Notifier changed_;
  runtime::RequestHandle handle_;
  std::string model_;
  std::string text_;
  std::optional<runtime::Done> done_;
  std::optional<Error> error_;
  bool started_ = false;
  bool abandoned_ = false;
};

}  // namespace skerry::agent
