#include "audit_witness.hpp"

#include "skerry/common/bytes.hpp"
#include "skerry/security/checkpoint.hpp"

namespace skerry::controller {
namespace {

// Empty if the note says what the message says and, where the key is known, is signed by it.
std::string check_note(const fleet::v1::AuditCheckpoint& checkpoint, const std::string& key) {
  if (key.empty()) {
    const auto parsed = security::parse_checkpoint(checkpoint.note());
    if (!parsed) {
      return "malformed checkpoint: " + parsed.error().message();
    }
    return parsed->size == checkpoint.size() && parsed->root.raw() == checkpoint.root()
               ? ""
               : "the checkpoint's note and its fields disagree";
  }
  const auto verifier = security::parse_note_verifier_key(key);
  if (!verifier) {
    return "malformed audit key: " + verifier.error().message();
  }
  const auto verified =
      security::verify_checkpoint(checkpoint.note(), verifier->name, verifier->key);
  if (!verified) {
    return "the checkpoint is not signed by the device's audit key: " + verified.error().message();
  }
  return verified->size == checkpoint.size() && verified->root.raw() == checkpoint.root()
             ? ""
             : "the checkpoint's note and its fields disagree";
}

}  // namespace

WitnessVerdict judge_checkpoint(const std::string& device_id,
                                const std::optional<AuditWitnessRecord>& held,
                                const fleet::v1::AuditCheckpoint& checkpoint,
                                bool current,
                                std::int64_t now_ms) {
  WitnessVerdict verdict;
  verdict.record = held.value_or(AuditWitnessRecord{});
  AuditWitnessRecord& record = verdict.record;
  record.device_id = device_id;
  const auto refuse = [&](const std::string& finding) {
    verdict.finding = finding;
    // The first finding stays: it is the one to look into.
    if (record.flag.empty()) {
      record.flag = finding;
      verdict.changed = true;
    }
    return verdict;
  };
  const std::string offered_key = checkpoint.verifier_key();
  if (!record.verifier_key.empty() && !offered_key.empty() && offered_key != record.verifier_key) {
    return refuse("the device shows another audit key than the one pinned at first use");
  }
  const std::string key = record.verifier_key.empty() ? offered_key : record.verifier_key;
  if (auto wrong = check_note(checkpoint, key); !wrong.empty()) {
    return refuse(wrong);
  }
  const auto size = static_cast<std::int64_t>(checkpoint.size());
  const std::string root = to_hex(as_bytes(checkpoint.root()));
  if (held && size == record.size && root != record.root) {
    return refuse("fork: two different trees of size " + std::to_string(size));
  }
  if (held && size < record.size) {
    return current ? refuse("rollback: the log had " + std::to_string(record.size) +
                            " records, now it has " + std::to_string(size))
                   : verdict;
  }
  verdict.changed = !held || size > record.size || record.verifier_key != key;
  record.size = size;
  record.root = root;
  record.note = checkpoint.note();
  record.verifier_key = key;
  record.at_ms = now_ms;
  return verdict;
}

}  // namespace skerry::controller
