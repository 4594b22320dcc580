#include "audit_witness.hpp"

#include "skerry/common/bytes.hpp"
#include "skerry/security/checkpoint.hpp"
#include "skerry/security/merkle.hpp"

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

WitnessVerdict refused(WitnessVerdict verdict, const std::string& finding) {
  verdict.finding = finding;
  // The first finding stays: it is the one to look into.
  if (verdict.record.flag.empty()) {
    verdict.record.flag = finding;
    verdict.changed = true;
  }
  return verdict;
}

void take_head(AuditWitnessRecord& record,
               const fleet::v1::AuditCheckpoint& checkpoint,
               const std::string& key,
               std::int64_t now_ms) {
  record.size = static_cast<std::int64_t>(checkpoint.size());
  record.root = to_hex(as_bytes(checkpoint.root()));
  record.note = checkpoint.note();
  record.verifier_key = key;
  record.at_ms = now_ms;
}

std::string tree_text(std::int64_t size, const std::string& root) {
  return std::to_string(size) + " records (root " + root.substr(0, 16) + ")";
}

Result<void> check_growth(const AuditWitnessRecord& held,
                          const fleet::v1::AuditCheckpoint& checkpoint,
                          const fleet::v1::AuditProof& proof) {
  const auto old_root = Digest::from_hex(held.root);
  const auto new_root = Digest::from_bytes(as_bytes(checkpoint.root()));
  if (!old_root || !new_root) {
    return old_root ? new_root.error() : old_root.error();
  }
  // 63 levels, two paths: more is no proof.
  if (proof.hashes_size() > 128) {
    return Error{Error::Code::kAuditCorrupt, "the proof has more than 128 hashes"};
  }
  std::vector<Digest> hashes;
  for (const std::string& raw : proof.hashes()) {
    auto hash = Digest::from_bytes(as_bytes(raw));
    if (!hash) {
      return hash.error();
    }
    hashes.push_back(*hash);
  }
  return security::verify_consistency(
      static_cast<std::uint64_t>(held.size), *old_root, checkpoint.size(), *new_root, hashes);
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
  const auto refuse = [&](const std::string& finding) { return refused(verdict, finding); };
  const std::string& offered_key = checkpoint.verifier_key();
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
  if (held && size > record.size) {
    verdict.needs_proof = true;
    return verdict;
  }
  verdict.changed = !held || record.verifier_key != key;
  take_head(record, checkpoint, key, now_ms);
  return verdict;
}

WitnessVerdict judge_growth(const AuditWitnessRecord& held,
                            const fleet::v1::AuditCheckpoint& checkpoint,
                            const fleet::v1::AuditProof& proof,
                            std::int64_t now_ms) {
  WitnessVerdict verdict;
  verdict.record = held;
  const std::string trees =
      "the signed log of " +
      tree_text(static_cast<std::int64_t>(checkpoint.size()), to_hex(as_bytes(checkpoint.root()))) +
      " is not proven to continue the signed log of " + tree_text(held.size, held.root);
  if (!proof.error().empty()) {
    return refused(std::move(verdict), "no proof: " + trees + ": " + proof.error().substr(0, 256));
  }
  if (auto proven = check_growth(held, checkpoint, proof); !proven) {
    return refused(std::move(verdict), "fork: " + trees);
  }
  verdict.changed = true;
  take_head(verdict.record,
            checkpoint,
            held.verifier_key.empty() ? checkpoint.verifier_key() : held.verifier_key,
            now_ms);
  return verdict;
}

}  // namespace skerry::controller
