// skerry repo revoke-model|restore-model|permit-downgrade|withdraw-permit|revocations: the
// documents by which the `security` role ends models, and lets old ones run again.

#include <fmt/format.h>

#include "skerry/common/random.hpp"
#include "skerry/common/toml_reader.hpp"
#include "skerry/security/downgrade_permits.hpp"
#include "skerry/security/revocations.hpp"
#include "skerry/security/signed_document.hpp"

#include "repo_commands.hpp"
#include "security_documents.hpp"

namespace skerry::cli {
namespace {

namespace signed_target = security::security_target;

constexpr std::size_t kNonceBytes = 16;

// The document as listed; an empty one if there is none yet.
template <class Document>
Result<Document> load_document(const SecurityDocuments& documents, std::string_view path) {
  const auto bytes = documents.current(path);
  if (!bytes) {
    return bytes.error();
  }
  if (!*bytes) {
    return Document{};
  }
  auto document = Document::parse(**bytes);
  return document ? std::move(document) : document.error().with_context(path);
}

template <class Document>
Result<int> stage_next(SecurityDocuments& documents,
                       Document document,
                       std::string_view path,
                       std::string_view type) {
  document.set_version(document.version() + 1);
  auto staged = documents.stage(path, document.document(), type, document.version());
  return staged ? Result<int>{kExitDone} : staged.error();
}

struct RevokeModelOptions {
  DocumentOptions document;
  std::string id;
  std::string effect = "block-new";
  std::string reason;
  std::string model;
  std::vector<std::string> versions;
  std::uint64_t below_counter = 0;
  std::string manifest;
  std::string blob;
};

Result<std::optional<Digest>> parse_option(const std::string& text, std::string_view option) {
  if (text.empty()) {
    return std::optional<Digest>{};
  }
  const auto digest = Digest::parse(text);
  if (!digest) {
    return digest.error().with_context(option);
  }
  return std::optional<Digest>{*digest};
}

Result<int> run_revoke_model(Invocation& invocation, const RevokeModelOptions& options) {
  const auto effect = security::parse_revocation_effect(options.effect);
  const auto manifest = parse_option(options.manifest, "--manifest");
  const auto blob = parse_option(options.blob, "--blob");
  if (!effect) {
    return effect.error().with_context("--effect");
  }
  if (!manifest || !blob) {
    return manifest ? blob.error() : manifest.error();
  }
  security::Revocation entry;
  entry.id = options.id;
  entry.effect = *effect;
  entry.reason = options.reason;
  entry.model = options.model;
  entry.versions = options.versions;
  entry.manifest = *manifest;
  entry.blob = *blob;
  if (options.below_counter > 0) {
    entry.below_counter = options.below_counter;
  }
  auto documents = SecurityDocuments::open(invocation, options.document);
  if (!documents) {
    return documents.error();
  }
  auto revocations = load_document<security::Revocations>(*documents, signed_target::kRevocations);
  if (!revocations) {
    return revocations.error();
  }
  if (auto put = revocations->put(std::move(entry)); !put) {
    return put.error();
  }
  return stage_next(
      *documents, std::move(*revocations), signed_target::kRevocations, "revocations");
}

struct RestoreModelOptions {
  DocumentOptions document;
  std::string id;
};

Result<int> run_restore_model(Invocation& invocation, const RestoreModelOptions& options) {
  auto documents = SecurityDocuments::open(invocation, options.document);
  if (!documents) {
    return documents.error();
  }
  auto revocations = load_document<security::Revocations>(*documents, signed_target::kRevocations);
  if (!revocations) {
    return revocations.error();
  }
  if (auto removed = revocations->remove(options.id); !removed) {
    return removed.error();
  }
  return stage_next(
      *documents, std::move(*revocations), signed_target::kRevocations, "revocations");
}

struct PermitOptions {
  DocumentOptions document;
  std::string model;
  std::vector<std::string> devices;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::string lifetime = "7d";
  std::string reason;
};

Result<int> run_permit_downgrade(Invocation& invocation, const PermitOptions& options) {
  const auto lifetime = parse_duration(options.lifetime);
  if (!lifetime) {
    return lifetime.error().with_context("--for");
  }
  auto documents = SecurityDocuments::open(invocation, options.document);
  if (!documents) {
    return documents.error();
  }
  auto permits = load_document<security::DowngradePermits>(*documents, signed_target::kPermits);
  if (!permits) {
    return permits.error();
  }
  const WallTime now = invocation.clock.wall_now();
  permits->drop_expired(now);
  SystemRandom random;
  security::DowngradePermit permit;
  permit.nonce = random.hex(kNonceBytes);
  permit.devices = options.devices;
  permit.model = options.model;
  permit.from_counter = options.from;
  permit.to_counter = options.to;
  permit.expires = now + *lifetime;
  permit.reason = options.reason;
  const std::string nonce = permit.nonce;
  if (auto added = permits->add(std::move(permit)); !added) {
    return added.error();
  }
  invocation.console.note("permit " + nonce);
  return stage_next(*documents, std::move(*permits), signed_target::kPermits, "permits");
}

Result<int> run_withdraw_permit(Invocation& invocation, const RestoreModelOptions& options) {
  auto documents = SecurityDocuments::open(invocation, options.document);
  if (!documents) {
    return documents.error();
  }
  auto permits = load_document<security::DowngradePermits>(*documents, signed_target::kPermits);
  if (!permits) {
    return permits.error();
  }
  if (auto removed = permits->remove(options.id); !removed) {
    return removed.error();
  }
  return stage_next(*documents, std::move(*permits), signed_target::kPermits, "permits");
}

std::string what_is_revoked(const security::Revocation& entry) {
  if (entry.manifest) {
    return "manifest " + short_digest(entry.manifest->to_string());
  }
  if (entry.blob) {
    return "blob " + short_digest(entry.blob->to_string());
  }
  if (entry.below_counter) {
    return fmt::format("{} below counter {}", entry.model, *entry.below_counter);
  }
  return entry.versions.empty() ? entry.model
                                : fmt::format("{} {}", entry.model, fmt::join(entry.versions, " "));
}

Result<int> run_revocations(Invocation& invocation, const DocumentOptions& options) {
  auto documents = SecurityDocuments::open(invocation, options);
  if (!documents) {
    return documents.error();
  }
  const auto revocations =
      load_document<security::Revocations>(*documents, signed_target::kRevocations);
  const auto permits =
      load_document<security::DowngradePermits>(*documents, signed_target::kPermits);
  if (!revocations || !permits) {
    return revocations ? permits.error() : revocations.error();
  }
  if (invocation.json) {
    const auto listed = Json::parse(revocations->document());
    const auto allowed = Json::parse(permits->document());
    invocation.console.print_json(Json{Json::Object{{"revocations", listed ? *listed : Json{}},
                                                    {"permits", allowed ? *allowed : Json{}}}});
    return kExitDone;
  }
  Table entries{{"id", "effect", "what", "reason"}};
  for (const auto& entry : revocations->entries()) {
    entries.add({entry.id,
                 std::string{security::to_string(entry.effect)},
                 what_is_revoked(entry),
                 entry.reason});
  }
  invocation.console.line(fmt::format("revocations version {}", revocations->version()));
  invocation.console.print(entries.text());
  Table leaves{{"permit", "model", "from", "to", "devices", "until", "reason"}};
  for (const auto& permit : permits->permits()) {
    leaves.add({permit.nonce,
                permit.model,
                std::to_string(permit.from_counter),
                std::to_string(permit.to_counter),
                fmt::format("{}", fmt::join(permit.devices, " ")),
                to_rfc3339(permit.expires),
                permit.reason});
  }
  invocation.console.line(fmt::format("\npermits version {}", permits->version()));
  invocation.console.print(leaves.text());
  return kExitDone;
}

}  // namespace

void add_repo_revocations(Command& repo, Invocation& invocation) {
  Command* revoke = repo.add_subcommand(
      "revoke-model", "stage a revocation: gateways warn, take no new one, or stop the model");
  const auto options = add_action<RevokeModelOptions>(revoke, invocation, run_revoke_model);
  add_document_options(*revoke, options->document);
  revoke->add_option("--id", options->id, "its name, as cve-2026-7; an entry of it is replaced")
      ->required();
  revoke->add_option("--reason", options->reason, "what people and audit logs are told")
      ->required();
  revoke->add_option("--effect", options->effect, "only stop ends a running model")
      ->one_of({"warn", "block-new", "stop"})
      ->show_default();
  revoke->add_option("--model", options->model, "pattern of team/name, or *");
  revoke->add_option("--version", options->versions, "pattern, with --model (repeatable)");
  revoke->add_option(
      "--below-counter", options->below_counter, "with --model: release counters below this one");
  revoke->add_option("--manifest", options->manifest, "sha256:… of one version's manifest");
  revoke->add_option("--blob", options->blob, "sha256:… of a file that any variant has");
  Command* restore =
      repo.add_subcommand("restore-model", "stage the revocations without one of them");
  const auto restore_options =
      add_action<RestoreModelOptions>(restore, invocation, run_restore_model);
  add_document_options(*restore, restore_options->document);
  restore->add_option("--id", restore_options->id, "")->required();
  Command* permit = repo.add_subcommand("permit-downgrade",
                                        "stage a permit: each named gateway may go back once");
  const auto permit_options = add_action<PermitOptions>(permit, invocation, run_permit_downgrade);
  add_document_options(*permit, permit_options->document);
  permit->add_option("--model", permit_options->model, "team/name")->required();
  permit->add_option("--device", permit_options->devices, "id or pattern (repeatable)")->required();
  permit->add_option("--from", permit_options->from, "highest release counter that ran there")
      ->required();
  permit->add_option("--to", permit_options->to, "lowest release counter that may run")->required();
  permit->add_option("--for", permit_options->lifetime, "how long it is good")->show_default();
  permit->add_option("--reason", permit_options->reason, "")->required();
  Command* withdraw = repo.add_subcommand("withdraw-permit", "stage the permits without one");
  const auto withdraw_options =
      add_action<RestoreModelOptions>(withdraw, invocation, run_withdraw_permit);
  add_document_options(*withdraw, withdraw_options->document);
  withdraw->add_option("--id", withdraw_options->id, "the permit's nonce")->required();
  Command* list = repo.add_subcommand("revocations", "list what is revoked and permitted");
  const auto list_options = add_action<DocumentOptions>(list, invocation, run_revocations);
  add_document_options(*list, *list_options);
}

}  // namespace skerry::cli
