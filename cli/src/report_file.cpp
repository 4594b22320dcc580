#include "skerry/cli/report_file.hpp"

#include <array>
#include <utility>

namespace skerry::cli {
namespace {

constexpr std::string_view kReportMagic = "SKREPRT1";
constexpr std::size_t kPartHead = 4;

Result<void> read_whole(File& file, std::uint64_t offset, std::uint8_t* out, std::size_t size) {
  const auto got = file.read_at(offset, {out, size});
  if (!got) {
    return got.error();
  }
  if (*got != size) {
    return Error{Error::Code::kParse,
                 "the report is cut at byte " + std::to_string(offset + *got) +
                     ": write it again (skerry bundle report)"};
  }
  return {};
}

}  // namespace

Result<void> ReportFileWriter::add(std::string_view part) {
  if (part.empty() || part.size() > ReportFileLimits::kPartBytes ||
      parts_ == ReportFileLimits::kParts) {
    return Error{Error::Code::kTooLarge,
                 "a report has at most 65536 parts of 1 byte to 4 MiB; this one has " +
                     std::to_string(part.size()) + " bytes"};
  }
  std::string frame = parts_ == 0 ? std::string{kReportMagic} : std::string{};
  for (std::size_t i = 0; i < kPartHead; ++i) {
    frame += static_cast<char>(part.size() >> (8 * i) & 0xffU);
  }
  frame += part;
  if (auto written = file_.write_at(end_, as_bytes(frame)); !written) {
    return written;
  }
  end_ += frame.size();
  ++parts_;
  return {};
}

Result<std::uint64_t> read_report_file(File& file,
                                       const std::function<Result<void>(std::string)>& each) {
  const auto status = file.status();
  if (!status) {
    return status.error();
  }
  std::array<std::uint8_t, kReportMagic.size()> magic{};
  if (auto read = read_whole(file, 0, magic.data(), magic.size()); !read) {
    return read.error();
  }
  if (as_text({magic.data(), magic.size()}) != kReportMagic) {
    return Error{Error::Code::kParse, "this is no report of a gateway (skerry bundle report)"};
  }
  std::uint64_t at = magic.size();
  std::uint64_t parts = 0;
  while (at < status->size) {
    std::array<std::uint8_t, kPartHead> head{};
    if (auto read = read_whole(file, at, head.data(), head.size()); !read) {
      return read.error();
    }
    std::uint32_t length = 0;
    for (std::size_t i = 0; i < kPartHead; ++i) {
      length |= static_cast<std::uint32_t>(head[i]) << (8 * i);
    }
    if (length == 0 || length > ReportFileLimits::kPartBytes || parts == ReportFileLimits::kParts) {
      return Error{Error::Code::kParse,
                   "at byte " + std::to_string(at) + " is no part of a report (length " +
                       std::to_string(length) + ")"};
    }
    at += head.size();
    if (length > status->size - at) {
      return Error{Error::Code::kParse,
                   "the report is cut in its part at byte " + std::to_string(at) +
                       ": write it again (skerry bundle report)"};
    }
    std::string part(length, '\0');
    if (auto read = read_whole(file, at, reinterpret_cast<std::uint8_t*>(part.data()), part.size());
        !read) {
      return read.error();
    }
    at += length;
    ++parts;
    if (auto taken = each(std::move(part)); !taken) {
      return taken.error();
    }
  }
  return parts;
}

}  // namespace skerry::cli
