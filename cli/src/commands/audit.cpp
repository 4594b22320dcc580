// skerry audit tail|verify|export: what was decided and done, and proof that nobody changed it.

#include <fmt/format.h>

#include "skerry/common/json.hpp"
#include "skerry/security/audit_verify.hpp"

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

constexpr std::size_t kMaxAuditKeyFile = 16U << 10U;

struct TailOptions {
  std::uint32_t last = 20;
  std::int64_t from = -1;
  bool follow = false;
};

std::string text_of(const Json* value) {
  if (value == nullptr) {
    return "-";
  }
  return value->string() != nullptr ? *value->string() : value->dump();
}

// The members that people look for first; the rest is in --json (docs/audit.md).
std::string summary(const admin::AuditRecord& record) {
  const auto json = Json::parse(record.json());
  if (!json) {
    return fmt::format("{:>8}  {}", record.seq(), printable(record.json()));
  }
  const auto inner = [&json](std::string_view outer, std::string_view member) -> const Json* {
    const Json* object = json->find(outer);
    return object == nullptr ? nullptr : object->find(member);
  };
  const Json* event = json->find("event") != nullptr ? json->find("event") : json->find("type");
  const Json* actor = inner("actor", "id") != nullptr ? inner("actor", "id") : json->find("actor");
  const Json* object =
      json->find("object") != nullptr ? json->find("object") : json->find("resource");
  return printable(fmt::format("{:>8}  {}  {}  {}  {}  {}",
                               record.seq(),
                               text_of(json->find("time")),
                               text_of(event),
                               text_of(actor),
                               text_of(object),
                               text_of(json->find("outcome"))));
}

Result<int> run_tail(Invocation& invocation, const TailOptions& options) {
  admin::TailAuditRequest request;
  request.set_follow(options.follow);
  if (options.from >= 0) {
    request.set_from_seq(static_cast<std::uint64_t>(options.from));
  } else {
    request.set_last(options.last);
  }
  const auto done =
      tail_audit(invocation, request, [&invocation](const admin::AuditRecord& record) {
        // With --json a line is a record exactly as it is in the log.
        invocation.console.line(invocation.json ? record.json() : summary(record));
        invocation.console.flush();
      });
  return done ? Result<int>{kExitDone} : done.error();
}

struct VerifyOptions {
  std::string path;
  std::string key;
  std::string origin;
  std::string witness;
};

Result<int> verify_live(Invocation& invocation) {
  const auto response = call_admin(invocation, admin::VerifyAuditRequest{});
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
  } else if (response->ok()) {
    invocation.console.line(fmt::format("intact: {} records, {} checkpoints, root {}",
                                        response->records(),
                                        response->checkpoints(),
                                        response->root()));
  } else {
    invocation.console.line("DAMAGED: " + printable(response->problem()));
  }
  return response->ok() ? kExitDone : kExitNo;
}

struct LogKey {
  std::string origin;
  security::PublicKey key;
};

// `text` is a C2SP verifier key, or a file that holds one or a public key.
Result<LogKey> load_key(Invocation& invocation, const VerifyOptions& options) {
  std::string text = options.key;
  if (invocation.fs.exists(options.key)) {
    auto content = read_file(invocation.fs, options.key, kMaxAuditKeyFile);
    if (!content) {
      return content.error();
    }
    text = std::move(*content);
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  if (auto verifier = security::parse_note_verifier_key(text)) {
    return LogKey{options.origin.empty() ? verifier->name : options.origin, verifier->key};
  }
  auto key = security::PublicKey::from_text(text);
  if (!key) {
    return key.error().with_context("--key " + options.key);
  }
  if (options.origin.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "a bare public key does not name its log: give --origin too, or a verifier key"};
  }
  return LogKey{options.origin, *key};
}

Result<int> verify_offline(Invocation& invocation, const VerifyOptions& options) {
  if (options.key.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "offline verification needs --key: the log's verifier key or public key"};
  }
  const auto key = load_key(invocation, options);
  if (!key) {
    return key.error();
  }
  security::AuditVerifyOptions verify;
  verify.origin = key->origin;
  if (!options.witness.empty()) {
    const auto note = read_file(invocation.fs, options.witness, kMaxAuditKeyFile);
    if (!note) {
      return note.error();
    }
    const auto checkpoint = security::verify_checkpoint(*note, key->origin, key->key);
    if (!checkpoint) {
      return checkpoint.error().with_context(options.witness);
    }
    verify.witness = *checkpoint;
  }
  const auto result = security::verify_audit_log(invocation.fs, options.path, key->key, verify);
  if (!result) {
    return result.error();
  }
  if (invocation.json) {
    Json::Array findings;
    for (const auto& finding : result->findings) {
      findings.emplace_back(Json::Object{{"file", finding.file},
                                         {"offset", finding.offset},
                                         {"seq", finding.seq},
                                         {"message", finding.message}});
    }
    invocation.console.print_json(Json{Json::Object{{"ok", result->ok()},
                                                    {"records", result->size},
                                                    {"sealed", result->sealed},
                                                    {"checkpoints", result->checkpoints},
                                                    {"findings", std::move(findings)}}});
  } else if (result->ok()) {
    invocation.console.line(fmt::format("intact: {} records, {} under {} checkpoints",
                                        result->size - result->first_seq,
                                        result->sealed,
                                        result->checkpoints));
  } else {
    for (const auto& finding : result->findings) {
      invocation.console.line("DAMAGED: " + printable(finding.to_string()));
    }
  }
  return result->ok() ? kExitDone : kExitNo;
}

Result<int> run_verify(Invocation& invocation, const VerifyOptions& options) {
  return options.path.empty() ? verify_live(invocation) : verify_offline(invocation, options);
}

struct AuditExportOptions {
  std::string out;
  std::uint64_t from = 0;
};

Result<int> run_audit_export(Invocation& invocation, const AuditExportOptions& options) {
  auto file = invocation.fs.open(options.out, OpenMode::kCreateExclusive, 0640);
  if (!file) {
    return file.error();
  }
  admin::ExportAuditRequest request;
  request.set_from_seq(options.from);
  std::uint64_t written = 0;
  Result<void> stored = export_audit(
      invocation, request, [&file, &written](const std::string& piece) -> Result<void> {
        auto done = (*file)->write_at(written, as_bytes(piece));
        written += piece.size();
        return done;
      });
  if (stored) {
    stored = (*file)->sync();
  }
  if (!stored) {
    static_cast<void>(invocation.fs.remove(options.out));
    return stored.error();
  }
  invocation.console.note(fmt::format("{} written to {}", human_bytes(written), options.out));
  return kExitDone;
}

}  // namespace

void add_audit_command(Command& app, Invocation& invocation) {
  Command* audit = app.add_subcommand("audit", "what was decided and done, and proof of it");
  audit->require_subcommand(1);
  Command* tail = audit->add_subcommand("tail", "the newest records");
  const auto tail_options = add_action<TailOptions>(tail, invocation, run_tail);
  tail->add_option("-n,--last", tail_options->last, "how many")->show_default();
  tail->add_option("--from", tail_options->from, "from this sequence number on instead");
  tail->add_flag("-f,--follow", tail_options->follow, "wait for new ones");
  Command* verify = audit->add_subcommand(
      "verify", "check the daemon's log, or an exported file or folder; exit code 3: damaged");
  const auto verify_options = add_action<VerifyOptions>(verify, invocation, run_verify);
  verify->add_option("path", verify_options->path, "file or folder; absent: the daemon's own log");
  verify->add_option(
      "--key", verify_options->key, "verifier key, or a file with it or a public key");
  verify->add_option("--origin", verify_options->origin, "the log's name, with a bare public key");
  verify->add_option("--witness",
                     verify_options->witness,
                     "a checkpoint kept elsewhere that the log must contain");
  Command* save =
      audit->add_subcommand("export", "write the log to one file that verifies offline");
  const auto export_options = add_action<AuditExportOptions>(save, invocation, run_audit_export);
  save->add_option("--out", export_options->out, "a new file")->required();
  save->add_option(
      "--from", export_options->from, "from the last checkpoint at or before this record on");
}

}  // namespace skerry::cli
