// skerry fleet reports import: what gateways without a network wrote onto a stick, into the
// controller's store. Signed by the device, counted once however often it is handed in.

#include <algorithm>

#include <fmt/format.h>

#include "skerry/cli/report_file.hpp"
#include "skerry/common/confined_folder.hpp"
#include "skerry/registry/bundle.hpp"
#include "skerry/security/audit_verify.hpp"
#include "skerry/security/merkle.hpp"

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

constexpr std::string_view kAuditFile = "audit.skaudit";

struct FleetReportsOptions {
  std::shared_ptr<Fleet> fleet;
  std::string path;
};

struct ImportedReport {
  std::string device;
  std::uint64_t parts = 0;
  std::uint64_t records = 0;
  std::uint64_t applied = 0;
  std::uint64_t audit_size = 0;
  std::string audit_finding;
  // Why the controller's copy of the audit log's head did not move.
  std::string unproven;
};

// One stick, or one file of it: a folder to read from, and the reports' paths in it.
struct FoundReports {
  std::unique_ptr<ConfinedFolder> folder;
  std::vector<std::filesystem::path> files;
};

Result<FoundReports> find_reports(const std::filesystem::path& path) {
  FoundReports found;
  const bool is_file = path.filename() == kReportFile;
  const auto top = is_file ? std::filesystem::absolute(path).parent_path() : path;
  auto folder = ConfinedFolder::open(top);
  if (!folder) {
    return folder.error();
  }
  found.folder = *std::move(folder);
  if (found.folder->exists(kReportFile)) {
    found.files.emplace_back(kReportFile);
    return found;
  }
  const std::filesystem::path reports =
      found.folder->exists(registry::kBundleReports) ? registry::kBundleReports : "";
  const auto names = found.folder->list(reports);
  if (!names) {
    return names.error();
  }
  for (const std::string& name : *names) {
    if (found.folder->exists(reports / name / kReportFile)) {
      found.files.push_back(reports / name / kReportFile);
    }
  }
  if (found.files.empty()) {
    return Error{Error::Code::kNotFound,
                 "there is no " + std::string{kReportFile} + " in " + path.string() +
                     "; a gateway writes it with: skerry bundle report"};
  }
  std::sort(found.files.begin(), found.files.end());
  return found;
}

// From the audit log beside the report.
Result<fleet::AuditProof> make_proof(FileSystem& stick,
                                     const std::filesystem::path& audit,
                                     const fleet::AuditProofRequest& wanted) {
  const auto leaves = security::exported_leaves(stick, audit, wanted.new_size());
  const auto hashes = leaves ? security::consistency_proof(*leaves, wanted.old_size())
                             : Result<std::vector<Digest>>{leaves.error()};
  if (!hashes) {
    return hashes.error();
  }
  fleet::AuditProof proof;
  proof.set_old_size(wanted.old_size());
  proof.set_new_size(wanted.new_size());
  for (const Digest& hash : *hashes) {
    proof.add_hashes(hash.raw());
  }
  return proof;
}

Result<void> hand_in(const FleetConnection& connection,
                     FileSystem& stick,
                     const std::filesystem::path& audit,
                     std::string part,
                     ImportedReport& report) {
  fleet::ImportReportRequest request;
  request.set_report(std::move(part));
  auto answer = connection.call(request);
  if (!answer) {
    return answer.error();
  }
  ++report.parts;
  report.device = answer->device_id();
  report.records += answer->records();
  report.applied += answer->applied();
  report.unproven.clear();
  if (answer->has_audit_proof()) {
    const auto proof = make_proof(stick, audit, answer->audit_proof());
    if (proof) {
      *request.mutable_audit_proof() = *proof;
      auto proven = connection.call(request);
      if (proven) {
        answer = std::move(proven);
      } else {
        report.unproven = proven.error().to_string();
      }
    } else {
      report.unproven = proof.error().to_string();
    }
  }
  report.audit_size = answer->audit_size();
  report.audit_finding = answer->audit_finding();
  return {};
}

void print_report(Invocation& invocation, const ImportedReport& report) {
  invocation.console.line(printable(fmt::format("{}: {} records, {} of them new; audit log of {}",
                                                report.device,
                                                report.records,
                                                report.applied,
                                                report.audit_size)));
  if (!report.unproven.empty()) {
    invocation.console.note(printable(
        "its audit log is longer, but that it only grew is not proven: " + report.unproven));
  }
  if (!report.audit_finding.empty()) {
    invocation.console.note(printable("its audit log: " + report.audit_finding));
  }
}

Json report_json(const ImportedReport& report) {
  return Json{Json::Object{{"device_id", report.device},
                           {"parts", report.parts},
                           {"records", report.records},
                           {"applied", report.applied},
                           {"audit_size", report.audit_size},
                           {"audit_finding", report.audit_finding},
                           {"audit_unproven", report.unproven}}};
}

Result<int> run_fleet_reports_import(Invocation& invocation, const FleetReportsOptions& options) {
  const auto found = find_reports(options.path);
  if (!found) {
    return found.error();
  }
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  Json::Array list;
  int exit = kExitDone;
  for (const std::filesystem::path& path : found->files) {
    auto file = found->folder->open(path, OpenMode::kRead, 0);
    ImportedReport report;
    const auto take = [&](std::string part) {
      return hand_in(
          *connection, *found->folder, path.parent_path() / kAuditFile, std::move(part), report);
    };
    const auto read = file ? read_report_file(**file, take) : Result<std::uint64_t>{file.error()};
    if (!read) {
      // The others on the stick are not its fault.
      invocation.console.note(printable(read.error().with_context(path.string()).to_string()));
      exit = kExitFailed;
      continue;
    }
    if (invocation.json) {
      list.emplace_back(report_json(report));
    } else {
      print_report(invocation, report);
    }
  }
  if (invocation.json) {
    invocation.console.print_json(Json{Json::Object{{"reports", Json{std::move(list)}}}});
  }
  return exit;
}

}  // namespace

void add_fleet_reports(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* reports = app.add_subcommand("reports", "what gateways wrote onto a stick");
  reports->require_subcommand();
  Command* import = reports->add_subcommand(
      "import", "hand reports in: telemetry, slots, audit log; each record counts once");
  const auto options =
      add_fleet_action<FleetReportsOptions>(import, invocation, fleet, run_fleet_reports_import);
  import->add_option("path", options->path, "the stick, a folder of it, or an outbox.skreport")
      ->required();
}

}  // namespace skerry::cli
