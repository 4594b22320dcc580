#pragma once

// Puts audit records in order from the control thread without making it wait for the disk: allowed
// inferences are handed over and forgotten, durable records are awaited. Seals on time, and tells
// who wants to know (the outbox) about each new checkpoint.

#include <atomic>
#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "skerry/agent/core.hpp"
#include "skerry/agent/notifier.hpp"
#include "skerry/async/task.hpp"
#include "skerry/security/audit_log.hpp"

namespace skerry::agent {

class AuditWriter {
 public:
  // Called on the control thread with the newest checkpoint, at most once per sealing interval.
  using OnCheckpoint = std::function<void(const security::Checkpoint&, const std::string& note)>;

  // `log` must outlive the writer.
  AuditWriter(Core& core, security::AuditLog& log);

  void on_checkpoint(OnCheckpoint callback) { on_checkpoint_ = std::move(callback); }

  // Grouped: appended in order on the disk thread; a failure is logged and counted by the log.
  void record(security::AuditEvent event);
  // Durable: on disk and sealed when this returns. On an error the caller must not do what it meant
  // to do.
  Task<Result<void>> record_durable(security::AuditEvent event);

  // The same without a coroutine, for work on transfer threads; blocks for one fsync. Thread-safe.
  Result<void> record_now(const security::AuditEvent& event);

  // Seals what is open once per interval; sleeps while there is nothing.
  Task<void> run();
  // Seals everything; for the end of the daemon.
  Task<void> flush();

  [[nodiscard]] security::AuditLog& log() { return log_; }

 private:
  Core& core_;
  security::AuditLog& log_;
  boost::asio::any_io_executor strand_;
  Notifier dirty_;
  bool unsealed_ = false;
  std::uint64_t announced_ = 0;
  OnCheckpoint on_checkpoint_;
};

}  // namespace skerry::agent
