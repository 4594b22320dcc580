#include "skerry/agent/audit_writer.hpp"

#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"

namespace skerry::agent {
namespace asio = boost::asio;

AuditWriter::AuditWriter(Core& core, security::AuditLog& log)
    : core_(core),
      log_(log),
      strand_(asio::make_strand(core.disk)),
      dirty_(core.control),
      announced_(log.checkpoint().size) {}

void AuditWriter::record(security::AuditEvent event) {
  unsealed_ = true;
  dirty_.notify();
  asio::post(strand_, [this, event = std::move(event)] {
    if (Result<security::AuditReceipt> receipt = log_.append(event); !receipt) {
      core_.log.error("audit.refused", receipt.error());
    }
  });
}

Task<Result<void>> AuditWriter::record_durable(security::AuditEvent event) {
  unsealed_ = true;
  dirty_.notify();
  auto work = [this, event = std::move(event)]() -> Result<void> {
    if (Result<security::AuditReceipt> receipt = log_.append(event); !receipt) {
      return receipt.error().with_context("audit log");
    }
    return {};
  };
  Result<void> done = co_await async::offload(strand_, std::move(work));
  co_return done;
}

Result<void> AuditWriter::record_now(const security::AuditEvent& event) {
  if (Result<security::AuditReceipt> receipt = log_.append(event); !receipt) {
    return receipt.error().with_context("audit log");
  }
  // Who follows the log is told with the next sealing.
  asio::post(core_.control, [this] {
    unsealed_ = true;
    dirty_.notify();
  });
  return {};
}

Task<void> AuditWriter::run() {
  while (true) {
    while (!unsealed_) {
      co_await dirty_.wait();
    }
    co_await async::sleep_for(log_.options().checkpoint_interval);
    unsealed_ = false;
    co_await flush();
  }
}

Task<void> AuditWriter::flush() {
  auto work = [this]() -> Result<void> { return log_.flush(); };
  Result<void> sealed = co_await async::offload(strand_, std::move(work));
  if (!sealed) {
    core_.log.error("audit.seal_failed", sealed.error());
    co_return;
  }
  const security::Checkpoint checkpoint = log_.checkpoint();
  if (checkpoint.size > announced_ && on_checkpoint_) {
    announced_ = checkpoint.size;
    on_checkpoint_(checkpoint, log_.checkpoint_note());
  }
}

}  // namespace skerry::agent
