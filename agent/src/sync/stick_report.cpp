// What waits for the controller, for a stick: parts of the outbox, each signed by the device's key.

#include "skerry/security/stick_report.hpp"

#include <utility>

#include "skerry/async/offload.hpp"

#include "sync_client_impl.hpp"

namespace skerry::agent {
namespace fleet_pb = fleet::v1;
namespace {

// A part is one message of the controller's API, whose limit is 4 MiB, and one batch of its
// outbox.
constexpr std::size_t kStickPart = 1U << 20U;
constexpr std::size_t kStickRecords = 4096;

}  // namespace

Task<Result<std::string>> SyncClient::stick_report(StickReportCursor& cursor) {
  Impl& self = *impl_;
  if (!self.identity) {
    co_return Error(Error::Code::kNotEnrolled,
                    "this gateway has no certificate yet, so that nobody could tell whose report "
                    "this is: enrol it once");
  }
  auto read = [&self, after = cursor.after] { return self.outbox.read(after, kStickPart); };
  Result<std::vector<OutboxEntry>> entries = co_await async::offload(self.strand, std::move(read));
  if (!entries) {
    co_return entries.error();
  }
  if (entries->empty() && cursor.begun) {
    co_return std::string();
  }
  fleet_pb::StickReport report;
  report.set_device_id(self.identity->device_id);
  report.set_made_unix_ms(unix_ms_of(self.core.clock.wall_now()));
  if (!cursor.begun) {
    for (const SlotView& view : self.slots.views()) {
      *report.add_slots() = self.to_report(view);
    }
  }
  cursor.begun = true;
  report.mutable_after()->insert(cursor.after.begin(), cursor.after.end());
  for (std::size_t i = 0; i < entries->size() && i < kStickRecords; ++i) {
    const OutboxEntry& entry = (*entries)[i];
    *report.add_records() = sync::outbox_record(entry);
    cursor.after[entry.stream] = entry.seq;
  }
  fleet_pb::SignedStickReport out;
  out.set_report(report.SerializeAsString());
  Result<Bytes> signature =
      self.key->sign(as_bytes(security::stick_report_statement(out.report())));
  if (!signature) {
    co_return signature.error().with_context("signing the report");
  }
  out.set_signature(std::string(as_text(*signature)));
  out.set_certificate_chain_pem(self.identity->certificate_chain_pem);
  co_return out.SerializeAsString();
}

}  // namespace skerry::agent
