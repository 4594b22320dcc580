// A log file of any bytes: the verifier ends with a finding or a signed result, and the device
// never opens what it did not sign.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "skerry/security/audit_verify.hpp"
#include "skerry/security/signer.hpp"

namespace {

using skerry::ByteView;
using skerry::Error;
using skerry::FileStatus;
using skerry::Result;

Error refuse() {
  return Error{Error::Code::kIo, "read only"};
}

class BytesFile final : public skerry::File {
 public:
  explicit BytesFile(ByteView bytes) : bytes_(bytes) {}
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    if (offset >= bytes_.size()) {
      return std::size_t{0};
    }
    const std::size_t size =
        std::min<std::size_t>(out.size(), bytes_.size() - static_cast<std::size_t>(offset));
    std::memcpy(out.data(), bytes_.data() + offset, size);
    return size;
  }
  Result<void> write_at(std::uint64_t /*offset*/, ByteView /*data*/) override { return refuse(); }
  Result<void> allocate(std::uint64_t /*size*/) override { return refuse(); }
  Result<void> truncate(std::uint64_t /*size*/) override { return refuse(); }
  Result<void> sync() override { return refuse(); }
  Result<void> set_mode(std::uint32_t /*mode*/) override { return refuse(); }
  [[nodiscard]] Result<FileStatus> status() const override {
    FileStatus status;
    status.size = bytes_.size();
    return status;
  }
  [[nodiscard]] int fd() const override { return -1; }

 private:
  ByteView bytes_;
};

// One file that holds the input.
class OneFile final : public skerry::FileSystem {
 public:
  explicit OneFile(ByteView bytes) : bytes_(bytes) {}
  Result<std::unique_ptr<skerry::File>> open(const std::filesystem::path& /*path*/,
                                             skerry::OpenMode /*mode*/,
                                             std::uint32_t /*mode_bits*/) override {
    return std::unique_ptr<skerry::File>{std::make_unique<BytesFile>(bytes_)};
  }
  [[nodiscard]] Result<FileStatus> status(const std::filesystem::path& /*path*/) const override {
    FileStatus status;
    status.size = bytes_.size();
    return status;
  }
  Result<void> create_directories(const std::filesystem::path& /*path*/,
                                  std::uint32_t /*mode_bits*/) override {
    return refuse();
  }
  Result<void> rename(const std::filesystem::path& /*from*/,
                      const std::filesystem::path& /*to*/,
                      bool /*no_replace*/) override {
    return refuse();
  }
  Result<void> remove(const std::filesystem::path& /*path*/) override { return refuse(); }
  Result<void> sync_directory(const std::filesystem::path& /*directory*/) override {
    return refuse();
  }
  [[nodiscard]] Result<std::vector<std::string>> list(
      const std::filesystem::path& /*directory*/) const override {
    return refuse();
  }
  [[nodiscard]] Result<std::uint64_t> free_space(
      const std::filesystem::path& /*path*/) const override {
    return refuse();
  }

 private:
  ByteView bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto key =
      skerry::security::make_memory_signer(skerry::security::KeyAlgorithm::kEd25519);
  OneFile fs{ByteView{data, size}};
  for (const bool torn : {false, true}) {
    skerry::security::AuditVerifyOptions options;
    options.allow_torn_tail = torn;
    const auto verified =
        skerry::security::verify_audit_log(fs, "input", (*key)->public_key(), options);
    // The key is this run's own: nothing in the input can be signed by it.
    if (verified && verified->sealed > 0) {
      std::abort();
    }
  }
  static_cast<void>(
      skerry::security::parse_checkpoint({reinterpret_cast<const char*>(data), size}).has_value());
  return 0;
}
