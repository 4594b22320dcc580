#pragma once

// One slot's driver: the loop that feeds its machine and performs what it asks for. Private to
// `SlotManager`.

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "skerry/agent/slot_manager.hpp"
#include "skerry/async/backoff.hpp"

namespace skerry::agent {

struct SlotManager::Driver {
  Driver(SlotManager& manager, std::string name, activation::Machine machine);

  // Until cancelled.
  Task<void> run();
  void push(activation::Event event);
  activation::Event make(activation::EventKind kind) const;
  [[nodiscard]] SlotView view() const;
  void cancel_work() { cancel_->cancel(); }
  // How long the catalogue took to commit the last rollback.
  std::chrono::microseconds rollback_commit{0};
  std::optional<Error> rollback_error;

  SlotManager& owner;
  const std::string slot;
  activation::Machine machine;
  registry::FetchProgress progress;
  Notifier settled;

 private:
  Task<void> handle(activation::Event event);
  Task<void> journal();
  Task<void> mark_bad();
  [[nodiscard]] std::string bad_reason() const;
  void start(activation::Action action);
  Task<void> work(activation::Action action, std::uint64_t id);
  Task<void> wait_for_source(std::uint64_t id);
  // What the present offer is fetched from.
  [[nodiscard]] std::shared_ptr<ModelSource> source() const;
  Task<activation::Event> preflight(std::shared_ptr<registry::CancelFlag> cancel);
  Task<activation::Event> fetch(std::shared_ptr<registry::CancelFlag> cancel);
  Task<activation::Event> admit();
  Task<activation::Event> gate();
  Task<Result<void>> run_golden(const ServedModelPtr& candidate);
  Task<activation::Event> activate();
  Task<activation::Event> deactivate();
  Task<activation::Event> commit();
  Task<activation::Event> roll_back();
  Task<Result<void>> load_manifest();
  activation::Event failed(activation::EventKind kind, const Error& error) const;
  security::AuditEvent audit_event(std::string action) const;

  Notifier wake_;
  std::deque<activation::Event> inbox_;
  std::shared_ptr<registry::CancelFlag> cancel_;
  std::uint64_t work_id_ = 0;
  std::shared_ptr<const registry::VerifiedManifest> manifest_;
  // Keeps the candidate loaded from the gate to the switch.
  ModelHost::Lease candidate_;
  async::Backoff backoff_;
};

}  // namespace skerry::agent
