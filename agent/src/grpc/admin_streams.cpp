// The streaming calls of the admin service: tail and export of the audit log, the report for a
// stick.
#include <algorithm>
#include <chrono>
#include <utility>

#include "skerry/async/offload.hpp"

#include "admin_grpc.hpp"
#include "call.hpp"
#include "file_stream.hpp"

namespace skerry::agent {
namespace admin_pb = skerry::admin::v1;
using security::Verb;
namespace {

constexpr std::size_t kBatch = 256;
// How often a follower looks for new records.
constexpr std::chrono::milliseconds kFollowInterval{500};

Task<grpc::Status> tail(Administration& administration,
                        admin_pb::TailAuditRequest request,
                        std::shared_ptr<StreamWriter<admin_pb::AuditRecord>> writer) {
  security::AuditLog& log = administration.parts().audit.log();
  const std::uint64_t size = log.status().size;
  std::uint64_t next = request.from_seq();
  if (request.last() > 0) {
    next = size - std::min<std::uint64_t>(size, request.last());
  }
  while (!writer->gone()) {
    Result<std::vector<security::AuditEntry>> entries =
        co_await administration.read_audit(next, kBatch);
    if (!entries) {
      co_return to_status(entries.error());
    }
    for (security::AuditEntry& entry : *entries) {
      next = entry.seq + 1;
      admin_pb::AuditRecord record;
      record.set_seq(entry.seq);
      record.set_json(std::move(entry.record));
      if (!co_await writer->write(std::move(record))) {
        co_return grpc::Status::CANCELLED;
      }
    }
    if (entries->empty()) {
      if (!request.follow()) {
        co_return grpc::Status::OK;
      }
      co_await writer->changed().wait_for(kFollowInterval);
    }
  }
  co_return grpc::Status::CANCELLED;
}

Task<grpc::Status> send_file(Core& core,
                             std::filesystem::path path,
                             std::shared_ptr<StreamWriter<admin_pb::ExportAuditChunk>> writer) {
  struct Opened {
    std::shared_ptr<File> file;
    std::uint64_t size = 0;
  };
  auto open = [&core, path]() -> Result<Opened> {
    Result<std::unique_ptr<File>> file = core.fs.open(path, OpenMode::kRead);
    if (!file) {
      return file.error();
    }
    const Result<FileStatus> status = (*file)->status();
    if (!status) {
      return status.error();
    }
    return Opened{*std::move(file), status->size};
  };
  Result<Opened> opened = co_await async::offload(core.disk, std::move(open));
  if (!opened) {
    co_return to_status(opened.error());
  }
  co_return co_await stream_file(core, std::move(opened->file), opened->size, std::move(writer));
}

Task<void> run_tail(Administration& administration,
                    Caller caller,
                    admin_pb::TailAuditRequest request,
                    std::shared_ptr<StreamWriter<admin_pb::AuditRecord>> writer) {
  grpc::Status status(grpc::StatusCode::CANCELLED, "the daemon is stopping");
  try {
    Result<void> allowed = co_await administration.parts().access.authorise_read(
        std::move(caller), Verb::kAuditRead, "audit.tail");
    if (allowed) {
      status = co_await tail(administration, std::move(request), writer);
    } else {
      status = to_status(allowed.error());
    }
  } catch (const std::exception&) {
    // Cancelled: the stream ends with the status above.
  }
  writer->end(status);
}

Task<void> run_export(Core& core,
                      Administration& administration,
                      Caller caller,
                      std::uint64_t from_seq,
                      std::shared_ptr<StreamWriter<admin_pb::ExportAuditChunk>> writer) {
  grpc::Status status(grpc::StatusCode::CANCELLED, "the daemon is stopping");
  std::filesystem::path path;
  try {
    Result<std::filesystem::path> exported =
        co_await administration.export_audit(std::move(caller), from_seq);
    if (exported) {
      path = *exported;
      status = co_await send_file(core, path, writer);
    } else {
      status = to_status(exported.error());
    }
  } catch (const std::exception&) {
    // Cancelled: the stream ends with the status above.
  }
  if (!path.empty()) {
    if (Result<void> removed = core.fs.remove(path); !removed) {
      core.log.warning("audit.export_not_removed", removed.error());
    }
  }
  writer->end(status);
}

Task<grpc::Status> send_report(Administration& administration,
                               Caller caller,
                               std::shared_ptr<StreamWriter<admin_pb::ExportReportPart>> writer) {
  Result<void> allowed = co_await administration.begin_stick_report(std::move(caller));
  if (!allowed) {
    co_return to_status(allowed.error());
  }
  StickReportCursor cursor;
  while (true) {
    Result<std::string> part = co_await administration.parts().stick_report(cursor);
    if (!part) {
      co_return to_status(part.error());
    }
    if (part->empty()) {
      co_return grpc::Status::OK;
    }
    admin_pb::ExportReportPart message;
    message.set_signed_report(*std::move(part));
    if (!co_await writer->write(std::move(message))) {
      co_return grpc::Status::CANCELLED;
    }
  }
}

Task<void> run_report(Administration& administration,
                      Caller caller,
                      std::shared_ptr<StreamWriter<admin_pb::ExportReportPart>> writer) {
  grpc::Status status(grpc::StatusCode::CANCELLED, "the daemon is stopping");
  try {
    status = co_await send_report(administration, std::move(caller), writer);
  } catch (const std::exception&) {
    // Cancelled: the stream ends with the status above.
  }
  writer->end(status);
}

}  // namespace

grpc::ServerWriteReactor<admin_pb::ExportReportPart>* AdminGrpc::ExportReport(
    grpc::CallbackServerContext* context, const admin_pb::ExportReportRequest*) {
  auto writer = StreamWriter<admin_pb::ExportReportPart>::make(core_);
  Result<Caller> caller = peers_.find(context->peer());
  if (!caller) {
    writer->end(to_status(caller.error()));
    return writer.get();
  }
  boost::asio::post(core_.control, [this, writer, caller = *std::move(caller)]() mutable {
    core_.tasks.spawn("admin.export_report",
                      run_report(administration_, std::move(caller), writer));
  });
  return writer.get();
}

grpc::ServerWriteReactor<admin_pb::AuditRecord>* AdminGrpc::TailAudit(
    grpc::CallbackServerContext* context, const admin_pb::TailAuditRequest* request) {
  auto writer = StreamWriter<admin_pb::AuditRecord>::make(core_);
  Result<Caller> caller = peers_.find(context->peer());
  if (!caller) {
    writer->end(to_status(caller.error()));
    return writer.get();
  }
  boost::asio::post(
      core_.control, [this, writer, request = *request, caller = *std::move(caller)]() mutable {
        core_.tasks.spawn("admin.tail_audit",
                          run_tail(administration_, std::move(caller), std::move(request), writer));
      });
  return writer.get();
}

grpc::ServerWriteReactor<admin_pb::ExportAuditChunk>* AdminGrpc::ExportAudit(
    grpc::CallbackServerContext* context, const admin_pb::ExportAuditRequest* request) {
  auto writer = StreamWriter<admin_pb::ExportAuditChunk>::make(core_);
  Result<Caller> caller = peers_.find(context->peer());
  if (!caller) {
    writer->end(to_status(caller.error()));
    return writer.get();
  }
  const std::uint64_t from = request->from_seq();
  boost::asio::post(core_.control, [this, writer, from, caller = *std::move(caller)]() mutable {
    core_.tasks.spawn("admin.export_audit",
                      run_export(core_, administration_, std::move(caller), from, writer));
  });
  return writer.get();
}

}  // namespace skerry::agent
