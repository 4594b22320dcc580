// skerry bundle report: what this gateway did since it is in the field, onto the stick that goes
// back. The audit log is signed by the device's audit key and proves itself (`skerry audit
// verify`); outbox.skreport is signed by the device's key and is handed in by `skerry fleet reports
// import`; status.json beside them is for reading and proves nothing.

#include <array>

#include <fmt/format.h>

#include "skerry/cli/report_file.hpp"
#include "skerry/registry/bundle.hpp"

#include "admin.hpp"
#include "bundle_commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

constexpr std::string_view kAuditMagic = "SKAUDIT1";
constexpr std::string_view kOriginPrefix = "skerry.audit/";
constexpr char kHeaderFrame = '\x03';
constexpr std::size_t kFrameHead = 5;
constexpr std::uint32_t kMostHeader = 65536;
// More is taken in pieces: --audit-from.
constexpr std::uint64_t kMostAudit = 1ULL << 30U;

struct BundleReportOptions {
  std::string folder;
  std::uint64_t from = 0;
};

// The log's name from the header that every export begins with (docs/formats/audit.md).
Result<std::string> origin_of(File& file) {
  std::array<char, 13> head{};
  static_assert(head.size() == kAuditMagic.size() + kFrameHead);
  const auto got = file.read_at(0, {reinterpret_cast<std::uint8_t*>(head.data()), head.size()});
  if (!got) {
    return got.error();
  }
  const std::string_view text{head.data(), *got};
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < 4 && text.size() == head.size(); ++i) {
    length |= static_cast<std::uint32_t>(static_cast<unsigned char>(text[9 + i])) << (8 * i);
  }
  if (!text.starts_with(kAuditMagic) || text.size() < head.size() || text[8] != kHeaderFrame ||
      length > kMostHeader) {
    return Error{Error::Code::kAuditCorrupt, "the daemon's export has no header"};
  }
  std::string payload(length, '\0');
  const auto read =
      file.read_at(head.size(), {reinterpret_cast<std::uint8_t*>(payload.data()), payload.size()});
  if (!read || *read != payload.size()) {
    return read ? Error{Error::Code::kAuditCorrupt, "the daemon's export is cut"} : read.error();
  }
  const auto json = Json::parse(payload);
  if (!json) {
    return json.error().with_context("the header of the audit export");
  }
  return json->get_string("origin");
}

// One path component, whatever the origin says.
Result<std::string> folder_name(const std::string& origin) {
  std::string name =
      origin.starts_with(kOriginPrefix) ? origin.substr(kOriginPrefix.size()) : origin;
  if (auto ok = check_name(name, "device"); !ok) {
    return ok.error();
  }
  return name;
}

// The whole log into a file that nobody takes for a report before it is complete.
Result<std::uint64_t> save_audit(Invocation& invocation,
                                 const std::filesystem::path& path,
                                 std::uint64_t from) {
  if (invocation.fs.exists(path)) {
    // Of a stick that was pulled out too early.
    if (auto removed = invocation.fs.remove(path); !removed) {
      return removed.error();
    }
  }
  auto file = invocation.fs.open(path, OpenMode::kCreateExclusive, 0644);
  if (!file) {
    return file.error();
  }
  admin::ExportAuditRequest request;
  request.set_from_seq(from);
  std::uint64_t written = 0;
  auto stored = export_audit(
      invocation, request, [&file, &written](const std::string& piece) -> Result<void> {
        if (written + piece.size() > kMostAudit) {
          return Error{Error::Code::kTooLarge,
                       "the audit log has more than " + human_bytes(kMostAudit) +
                           "; take its newer part: --audit-from N"};
        }
        auto done = (*file)->write_at(written, as_bytes(piece));
        written += piece.size();
        return done;
      });
  if (stored) {
    stored = (*file)->sync();
  }
  if (!stored) {
    static_cast<void>(invocation.fs.remove(path));
    return stored.error();
  }
  return written;
}

// What waits for the controller, into a file of its own; 0 bytes if this gateway cannot sign one.
Result<std::uint64_t> save_outbox(Invocation& invocation, const std::filesystem::path& path) {
  if (invocation.fs.exists(path)) {
    if (auto removed = invocation.fs.remove(path); !removed) {
      return removed.error();
    }
  }
  auto file = invocation.fs.open(path, OpenMode::kCreateExclusive, 0644);
  if (!file) {
    return file.error();
  }
  ReportFileWriter writer{**file};
  auto stored =
      export_report(invocation, [&writer](const std::string& part) { return writer.add(part); });
  if (stored) {
    stored = (*file)->sync();
  }
  if (stored) {
    return writer.bytes();
  }
  static_cast<void>(invocation.fs.remove(path));
  if (stored.error().code() == Error::Code::kNotEnrolled) {
    invocation.console.note("no " + std::string{kReportFile} + ": " + stored.error().message());
    return std::uint64_t{0};
  }
  return stored.error();
}

Result<int> run_bundle_report(Invocation& invocation, const BundleReportOptions& options) {
  const auto status = call_admin(invocation, admin::GetStatusRequest{});
  if (!status) {
    return status.error();
  }
  const auto reports = std::filesystem::path{options.folder} / registry::kBundleReports;
  if (auto made = invocation.fs.create_directories(reports, 0755); !made) {
    return made.error();
  }
  // Before the audit log, which must not end before what the report says of it.
  const auto waiting = reports / ".outbox.part";
  const auto outbox = save_outbox(invocation, waiting);
  if (!outbox) {
    return outbox.error();
  }
  const auto part = reports / ".audit.part";
  const auto written = save_audit(invocation, part, options.from);
  if (!written) {
    return written.error();
  }
  auto file = invocation.fs.open(part, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  const auto origin = origin_of(**file);
  if (!origin) {
    return origin.error();
  }
  const auto name = folder_name(*origin);
  if (!name) {
    return name.error();
  }
  const auto folder = reports / *name;
  if (auto made = invocation.fs.create_directories(folder, 0755); !made) {
    return made.error();
  }
  if (auto kept = write_file_atomic(invocation.fs, folder / "status.json", to_json(*status), 0644);
      !kept) {
    return kept.error();
  }
  if (auto renamed = invocation.fs.rename(part, folder / "audit.skaudit"); !renamed) {
    return renamed.error();
  }
  if (*outbox > 0) {
    if (auto renamed = invocation.fs.rename(waiting, folder / kReportFile); !renamed) {
      return renamed.error();
    }
  }
  for (const auto& changed : {folder, reports}) {
    if (auto synced = invocation.fs.sync_directory(changed); !synced) {
      return synced.error();
    }
  }
  if (invocation.json) {
    invocation.console.print_json(Json{Json::Object{{"device", *name},
                                                    {"folder", folder.string()},
                                                    {"audit_origin", *origin},
                                                    {"audit_bytes", *written},
                                                    {"outbox_bytes", *outbox}}});
  } else {
    invocation.console.line(
        fmt::format("report of {} in {} (audit log: {}, for the controller: {})",
                    *name,
                    folder.string(),
                    human_bytes(*written),
                    human_bytes(*outbox)));
  }
  return kExitDone;
}

}  // namespace

void add_bundle_report(Command& bundle, Invocation& invocation) {
  Command* report = bundle.add_subcommand(
      "report", "write this gateway's status and signed audit log onto the stick");
  const auto options = add_action<BundleReportOptions>(report, invocation, run_bundle_report);
  report->add_option("folder", options->folder, "the stick, mounted for writing")->required();
  report->add_option("--audit-from", options->from, "leave out records before this one");
}

}  // namespace skerry::cli
