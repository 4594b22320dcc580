#include <algorithm>
#include <utility>

#include "skerry/security/audit_verify.hpp"

#include "audit_frame.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kCopyBuffer = 1U << 20U;

// Appends the segment's frames (all after the magic) at `at`, which moves on.
Result<void> copy_frames(File& from, File& to, std::uint64_t& at) {
  auto status = from.status();
  if (!status) {
    return std::move(status).error();
  }
  Bytes buffer(kCopyBuffer);
  for (std::uint64_t offset = kAuditMagic.size(); offset < status->size;) {
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
                              const std::filesystem::path& out_file) {
  auto segments = list_segments(fs, directory);
  if (!segments) {
    return segments.error().with_context("audit export");
  }
  if (segments->empty()) {
    return Error{Error::Code::kNotFound, directory.string() + " holds no audit segment"};
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
    if (auto copied = copy_frames(**in, **out, at); !copied) {
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

}  // namespace skerry::security
