#include <algorithm>
#include <utility>

#include "skerry/security/audit_verify.hpp"

#include "audit_segment.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kCopyBuffer = 1U << 20U;

// Where an export begins inside a segment.
struct ExportStart {
  // The header that the export's own beginning needs; empty at the segment's own.
  std::string header;
  // The first byte to copy: the segment's first frame, or a checkpoint's.
  std::uint64_t offset = kAuditMagic.size();
};

// The last checkpoint of the segment at or before record `from_seq`. Its note signs the tree there,
// so a header with that tree's edge in front of it is as good as a segment's beginning.
Result<ExportStart> find_start(File& segment, std::uint64_t from_seq) {
  auto status = segment.status();
  if (!status) {
    return std::move(status).error();
  }
  ExportStart start;
  std::string origin;
  MerkleFrontier frontier;
  FrameReader reader{segment, status->size};
  bool first_checkpoint = true;
  for (auto step = reader.begin();; step = reader.next()) {
    if (!step) {
      return step.error();
    }
    if (step->kind != FrameStep::Kind::kFrame) {
      // A torn end is the verifier's to judge.
      break;
    }
    if (step->frame.type == FrameType::kHeader) {
      auto header = SegmentHeader::decode(step->frame.payload);
      if (!header) {
        return header.error();
      }
      origin = header->origin;
      frontier = std::move(header->frontier);
    } else if (step->frame.type == FrameType::kRecord) {
      frontier.append(step->frame.check);
    } else if (frontier.size() > from_seq) {
      return start;
    } else if (!std::exchange(first_checkpoint, false)) {
      start.header.clear();
      append_frame(start.header, FrameType::kHeader, SegmentHeader{origin, frontier}.encode());
      start.offset = step->offset;
    }
  }
  if (from_seq > frontier.size()) {
    return Error{Error::Code::kInvalidArgument,
                 "the log has " + std::to_string(frontier.size()) +
                     " records; there is no number " + std::to_string(from_seq) + " yet"};
  }
  return start;
}

// Appends the segment's frames from `offset` on at `at`, which moves on.
Result<void> copy_frames(File& from, std::uint64_t offset, File& to, std::uint64_t& at) {
  auto status = from.status();
  if (!status) {
    return std::move(status).error();
  }
  Bytes buffer(kCopyBuffer);
  while (offset < status->size) {
    const auto want =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), status->size - offset));
    auto got = from.read_at(offset, std::span{buffer}.first(want));
    if (!got) {
      return std::move(got).error();
    }
    if (*got == 0) {
      return {};
    }
    if (auto written = to.write_at(at, ByteView{buffer}.first(*got)); !written) {
      return written;
    }
    offset += *got;
    at += *got;
  }
  return {};
}

}  // namespace

Result<void> export_audit_log(FileSystem& fs,
                              const std::filesystem::path& directory,
                              const std::filesystem::path& out_file,
                              std::uint64_t from_seq) {
  auto segments = list_segments(fs, directory);
  if (!segments) {
    return segments.error().with_context("audit export");
  }
  if (segments->empty()) {
    return Error{Error::Code::kNotFound, directory.string() + " holds no audit segment"};
  }
  // The newest segment that begins at or before the wanted record.
  while (segments->size() > 1 && (*segments)[1].first_seq <= from_seq) {
    segments->erase(segments->begin());
  }
  std::filesystem::path fresh = out_file;
  fresh += ".new";
  auto out = fs.open(fresh, OpenMode::kCreate, 0600);
  if (!out) {
    return out.error().with_context("audit export");
  }
  std::uint64_t at = kAuditMagic.size();
  if (auto cut = (*out)->truncate(0); !cut) {
    return cut.error().with_context("audit export");
  }
  if (auto begun = (*out)->write_at(0, as_bytes(kAuditMagic)); !begun) {
    return begun.error().with_context("audit export");
  }
  for (const SegmentFile& segment : *segments) {
    auto in = fs.open(directory / segment.name, OpenMode::kRead);
    if (!in) {
      return in.error().with_context("audit export");
    }
    ExportStart start;
    if (from_seq > 0 && &segment == &segments->front()) {
      auto found = find_start(**in, from_seq);
      if (!found) {
        static_cast<void>(fs.remove(fresh));
        return found.error().with_context("audit export");
      }
      start = *std::move(found);
    }
    if (auto headed = (*out)->write_at(at, as_bytes(start.header)); !headed) {
      return headed.error().with_context("audit export");
    }
    at += start.header.size();
    if (auto copied = copy_frames(**in, start.offset, **out, at); !copied) {
      return copied.error().with_context("audit export of " + segment.name);
    }
  }
  if (auto synced = (*out)->sync(); !synced) {
    return synced.error().with_context("audit export");
  }
  if (auto renamed = fs.rename(fresh, out_file); !renamed) {
    return renamed.error().with_context("audit export");
  }
  const auto parent = out_file.parent_path();
  return fs.sync_directory(parent.empty() ? std::filesystem::path{"."} : parent);
}

Result<std::vector<Digest>> exported_leaves(FileSystem& fs,
                                            const std::filesystem::path& file,
                                            std::uint64_t size) {
  auto opened = fs.open(file, OpenMode::kRead);
  auto status = opened ? (*opened)->status() : opened.error();
  if (!status) {
    return status.error().with_context("audit export");
  }
  std::vector<Digest> leaves;
  const auto header = FrameReader{**opened, status->size}.begin();
  if (!header || header->kind != FrameStep::Kind::kFrame ||
      header->frame.type != FrameType::kHeader) {
    return Error{Error::Code::kAuditCorrupt, "the export does not begin with a header"};
  }
  const auto begin = SegmentHeader::decode(header->frame.payload);
  if (!begin) {
    return begin.error().with_context("audit export");
  }
  const std::uint64_t first = begin->frontier.size();
  auto visited = visit_records(**opened, status->size, first, [&](const AuditRecordView& record) {
    leaves.push_back(record.frame.check);
    return leaves.size() < size;
  });
  if (!visited) {
    return visited.error();
  }
  if (first != 0 || leaves.size() < size) {
    return Error{Error::Code::kFailedPrecondition,
                 "the export has records " + std::to_string(first) + " to " +
                     std::to_string(first + leaves.size()) + "; a proof needs 0 to " +
                     std::to_string(size)};
  }
  return leaves;
}

}  // namespace skerry::security
