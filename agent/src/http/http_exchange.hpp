#pragma once

// One request and its answer, as the front ends see them: what was asked, by whom answers are
// written, in which dialect errors are told, and whether the client still waits. Control thread.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "skerry/agent/access.hpp"
#include "skerry/agent/api_style.hpp"
#include "skerry/agent/call_watch.hpp"
#include "skerry/agent/http_text.hpp"
#include "skerry/agent/import_administration.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/agent/notifier.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/security/token_store.hpp"

#include "http_connection.hpp"

namespace skerry::agent {

struct HttpParts {
  Core& core;
  Inference& inference;
  Access& access;
  AuditWriter& audit;
  ModelHost& host;
  SlotManager& slots;
  ImportAdministration& imports;
  security::TokenStore& tokens;
  Metrics& metrics;
  std::function<Gauges()> gauges;
};

inline constexpr std::string_view kJsonType = "application/json";
// How soon a client that went away is noticed while nothing is written to it.
inline constexpr std::chrono::milliseconds kGoneCheck{250};

class HttpExchange {
 public:
  HttpExchange(HttpParts& parts, HttpConnection& connection, HttpRequest request, std::string id);

  [[nodiscard]] HttpParts& parts() const { return parts_; }
  [[nodiscard]] const HttpRequest& request() const { return request_; }
  // "req-…", also in the x-request-id header of the answer.
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] ApiStyle style() const { return style_; }
  [[nodiscard]] bool keep_alive() const { return request_.keep_alive; }
  [[nodiscard]] std::size_t max_body() const;
  // Unix seconds.
  [[nodiscard]] std::int64_t now() const;
  // True if the client closed its end. Does not block.
  [[nodiscard]] bool peer_gone() { return connection_.peer_gone(); }

  // Each answers once; false if the client is gone.
  Task<bool> answer(int status, std::string_view type, std::string body, HttpHeaders more);
  Task<bool> json(std::string body);
  Task<bool> fail(Error error);
  Task<bool> fail_with(int status, Error error);
  // An answer in pieces: begin, any number of write, end. False if the client is gone.
  Task<bool> begin_stream(std::string_view type, std::string first);
  Task<bool> write_stream(std::string bytes);
  Task<bool> end_stream(std::string last);

  // Runs a call with one answer and cancels it through `watch` when the client goes. Nothing: it
  // went.
  template <class T>
  Task<std::optional<Result<T>>> watched(Task<Result<T>> work, std::shared_ptr<CallWatch> watch);

 private:
  template <class T>
  struct Slot {
    explicit Slot(const boost::asio::any_io_executor& executor) : changed(executor) {}
    Notifier changed;
    std::optional<Result<T>> result;
  };
  template <class T>
  static Task<void> fill(std::shared_ptr<Slot<T>> slot, Task<Result<T>> work);
  [[nodiscard]] std::string pack(std::string bytes) const;

  HttpParts& parts_;
  HttpConnection& connection_;
  HttpRequest request_;
  std::string id_;
  ApiStyle style_;
  bool chunked_ = true;
};

template <class T>
Task<void> HttpExchange::fill(std::shared_ptr<Slot<T>> slot, Task<Result<T>> work) {
  try {
    Result<T> result = co_await std::move(work);
    slot->result.emplace(std::move(result));
  } catch (...) {
    slot->result.emplace(Error(Error::Code::kCancelled, "the daemon is stopping"));
    slot->changed.notify();
    throw;
  }
  slot->changed.notify();
}

template <class T>
Task<std::optional<Result<T>>> HttpExchange::watched(Task<Result<T>> work,
                                                     std::shared_ptr<CallWatch> watch) {
  auto slot = std::make_shared<Slot<T>>(parts_.core.control);
  parts_.core.tasks.spawn("http.call", fill<T>(slot, std::move(work)));
  try {
    while (!slot->result) {
      co_await slot->changed.wait_for(kGoneCheck);
      if (!slot->result && peer_gone()) {
        watch->abandon();
        co_return std::optional<Result<T>>();
      }
    }
  } catch (...) {
    watch->abandon();
    throw;
  }
  co_return std::move(slot->result);
}

}  // namespace skerry::agent
