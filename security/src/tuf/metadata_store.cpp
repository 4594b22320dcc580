#include "skerry/security/tuf/metadata_store.hpp"

#include <utility>

namespace skerry::security::tuf {

namespace {

std::string file_name(const RoleName& role) {
  return encode_role_name(role) + ".json";
}

}  // namespace

DirectoryMetadataStore::DirectoryMetadataStore(FileSystem& fs, std::filesystem::path directory)
    : fs_(fs), directory_(std::move(directory)) {}

Result<std::optional<std::string>> DirectoryMetadataStore::load(const RoleName& role) {
  auto bytes = read_file(fs_, directory_ / file_name(role), MetadataLimits::bytes(shape_of(role)));
  if (bytes) {
    return std::optional<std::string>{std::move(*bytes)};
  }
  if (bytes.error().code() == Error::Code::kNotFound) {
    return std::optional<std::string>{};
  }
  return bytes.error().with_context("stored metadata");
}

Result<void> DirectoryMetadataStore::commit(const MetadataUpdate& update) {
  if (auto made = fs_.create_directories(directory_); !made) {
    return made;
  }
  bool removed = false;
  for (const RoleName& role : update.removed) {
    if (!fs_.exists(directory_ / file_name(role))) {
      continue;
    }
    if (auto gone = fs_.remove(directory_ / file_name(role)); !gone) {
      return gone;
    }
    removed = true;
  }
  if (removed) {
    if (auto synced = fs_.sync_directory(directory_); !synced) {
      return synced;
    }
  }
  for (const MetadataUpdate::File& file : update.files) {
    const std::string name = file_name(file.role);
    if (file.role == RoleName{Role::kRoot}) {
      // Every root is kept under its number too: the chain is evidence.
      const auto chain = directory_ / "root-chain";
      if (auto made = fs_.create_directories(chain); !made) {
        return made;
      }
      const auto numbered = chain / (std::to_string(file.version) + ".root");
      if (auto written = write_file_atomic(fs_, numbered, file.bytes); !written) {
        return written;
      }
    }
    if (auto written = write_file_atomic(fs_, directory_ / name, file.bytes); !written) {
      return written;
    }
  }
  return {};
}

}  // namespace skerry::security::tuf
