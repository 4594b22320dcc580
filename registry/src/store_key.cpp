#include "skerry/registry/store_key.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/file.h>

#include "skerry/common/random.hpp"
#include "skerry/security/key_wrap.hpp"

#include "object_reader.hpp"
#include "sealed_file.hpp"

namespace skerry::registry {
namespace {

constexpr std::string_view kStoreKeyFile = "store.key";
constexpr std::string_view kStoreKeyFormat = "skerry-store-key";
constexpr std::int64_t kStoreKeyVersion = 1;
// What the wrapping is bound to.
constexpr std::string_view kStoreKeyPurpose = "skerry store key v1";
constexpr std::size_t kMaxWrapped = 1024;
constexpr std::uint32_t kStoreKeyMode = 0600;

constexpr std::string_view kIfLost =
    "; restore it from its backup, or, if it is lost for good, stop skerryd and run: skerry "
    "registry rekey --lost --to URI (the encrypted blobs are fetched again)";

Result<std::string> wrap_to(const security::PublicKey& key, ByteView secret) {
  auto wrapped = security::wrap_secret(key, secret, kStoreKeyPurpose);
  if (!wrapped) {
    return wrapped.error();
  }
  return StoreKeyFile{key.spki_digest(), std::move(*wrapped)}.serialise();
}

Result<void> write_store_key(FileSystem& fs,
                             const std::filesystem::path& root,
                             const security::KeyUri& uri,
                             ByteView secret) {
  const auto key = security::open_or_create_key(fs, uri, security::KeyAlgorithm::kEcdsaP256);
  if (!key) {
    return key.error();
  }
  const auto text = wrap_to((*key)->public_key(), secret);
  if (!text) {
    return text.error().with_context("key " + uri.to_string());
  }
  return write_file_atomic(fs, root / kStoreKeyFile, *text, kStoreKeyMode);
}

Result<Bytes> read_store_key(FileSystem& fs,
                             const std::filesystem::path& root,
                             const security::KeyUri& uri) {
  const auto text = read_file(fs, root / kStoreKeyFile, StoreKeyFile::kBytes);
  if (!text) {
    return text.error();
  }
  const auto file = StoreKeyFile::parse(*text);
  if (!file) {
    return file.error().with_context((root / kStoreKeyFile).string());
  }
  const auto key = security::make_signer(fs, uri);
  if (!key) {
    if (key.error().code() == Error::Code::kNotFound) {
      return Error{Error::Code::kKeyInvalid,
                   "the key that the store's data key is wrapped to is not there: " +
                       key.error().message() + std::string{kIfLost}};
    }
    return key.error();
  }
  if ((*key)->public_key().spki_digest() != file->wrapping_key) {
    return Error{
        Error::Code::kKeyInvalid,
        "the store's data key is wrapped to another key (" + file->wrapping_key.hex() + ") than " +
            uri.to_string() +
            "; name that one, or move to this one: skerry registry rekey --from URI --to " +
            uri.to_string()};
  }
  auto secret = security::unwrap_secret(**key, file->wrapped, kStoreKeyPurpose);
  if (!secret) {
    return secret.error().with_context("unwrapping the store's data key");
  }
  if (secret->size() != StoreKey::kSize) {
    return Error{Error::Code::kKeyInvalid, "the store's data key has another size than 32 bytes"};
  }
  return secret;
}

// True if a blob is there that only the key opens.
Result<bool> holds_sealed_blobs(FileSystem& fs, const std::filesystem::path& root) {
  const auto blobs = root / "blobs" / "sha256";
  if (!fs.exists(blobs)) {
    return false;
  }
  const auto folders = fs.list(blobs);
  if (!folders) {
    return folders.error();
  }
  for (const auto& folder : *folders) {
    const auto names = fs.list(blobs / folder);
    if (!names) {
      return names.error();
    }
    const auto is_sealed = [](const std::string& name) { return name.ends_with(kSealedSuffix); };
    if (std::any_of(names->begin(), names->end(), is_sealed)) {
      return true;
    }
  }
  return false;
}

// Held until the returned file is closed; the daemon holds the same one.
Result<std::unique_ptr<File>> lock_store(FileSystem& fs, const std::filesystem::path& root) {
  auto file = fs.open(root / "lock", OpenMode::kCreate, kStoreKeyMode);
  if (!file) {
    return std::move(file).error();
  }
  if (::flock((*file)->fd(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK
               ? Error{Error::Code::kUnavailable,
                       "another process uses the registry at " + root.string() + "; stop it first"}
               : errno_error(errno, "locking " + (root / "lock").string());
  }
  return file;
}

}  // namespace

Result<StoreKeyFile> StoreKeyFile::parse(std::string_view json) {
  const auto document = Json::parse(json, JsonLimits{.bytes = kBytes, .depth = 2});
  if (!document) {
    return document.error();
  }
  Failure failure{Error::Code::kParse, "store.key"};
  ObjectReader reader{&*document, "", failure};
  StoreKeyFile file;
  if (reader.text("format", kStoreKeyFormat.size()) != kStoreKeyFormat) {
    reader.fail("format", "must be \"skerry-store-key\"");
  }
  if (reader.integer("version", 1, INT32_MAX) != kStoreKeyVersion) {
    reader.fail("version", "is newer than this program knows");
  }
  file.wrapping_key = reader.digest("wrapping_key");
  const auto text = reader.text("wrapped", kMaxWrapped);
  reader.finish();
  if (failure.failed()) {
    return failure.error();
  }
  auto wrapped = from_base64(text);
  if (!wrapped) {
    return wrapped.error().with_context("store.key: wrapped");
  }
  file.wrapped = std::move(*wrapped);
  return file;
}

std::string StoreKeyFile::serialise() const {
  const Json document = Json::Object{{"format", kStoreKeyFormat},
                                     {"version", kStoreKeyVersion},
                                     {"wrapping_key", wrapping_key.to_string()},
                                     {"wrapped", to_base64(wrapped)}};
  return document.dump_pretty() + "\n";
}

Result<std::shared_ptr<const StoreKey>> StoreKey::open_or_create(FileSystem& fs,
                                                                 const std::filesystem::path& root,
                                                                 const security::KeyUri& uri) {
  const std::shared_ptr<StoreKey> key{new StoreKey};
  if (fs.exists(root / kStoreKeyFile)) {
    auto secret = read_store_key(fs, root, uri);
    if (!secret) {
      return secret.error();
    }
    std::copy(secret->begin(), secret->end(), key->bytes_.begin());
    std::fill(secret->begin(), secret->end(), std::uint8_t{0});
    return std::shared_ptr<const StoreKey>{key};
  }
  const auto sealed = holds_sealed_blobs(fs, root);
  if (!sealed) {
    return sealed.error();
  }
  if (*sealed) {
    return Error{Error::Code::kKeyInvalid,
                 (root / kStoreKeyFile).string() + " is gone, which encrypted blobs need" +
                     std::string{kIfLost}};
  }
  SystemRandom{}.fill(key->bytes_);
  if (auto written = write_store_key(fs, root, uri, key->bytes_); !written) {
    return written.error();
  }
  return std::shared_ptr<const StoreKey>{key};
}

Result<void> StoreKey::rewrap(FileSystem& fs,
                              const std::filesystem::path& root,
                              const security::KeyUri& from,
                              const security::KeyUri& to) {
  const auto lock = lock_store(fs, root);
  if (!lock) {
    return lock.error();
  }
  auto secret = read_store_key(fs, root, from);
  if (!secret) {
    return secret.error();
  }
  auto written = write_store_key(fs, root, to, *secret);
  std::fill(secret->begin(), secret->end(), std::uint8_t{0});
  return written;
}

Result<void> StoreKey::replace_lost(FileSystem& fs,
                                    const std::filesystem::path& root,
                                    const security::KeyUri& to) {
  const auto lock = lock_store(fs, root);
  if (!lock) {
    return lock.error();
  }
  const auto fresh = in_memory();
  return write_store_key(fs, root, to, fresh->bytes());
}

std::shared_ptr<const StoreKey> StoreKey::in_memory() {
  const std::shared_ptr<StoreKey> key{new StoreKey};
  SystemRandom{}.fill(key->bytes_);
  return key;
}

StoreKey::~StoreKey() {
  // Not optimised away: the compiler cannot know that nobody looks.
  volatile std::uint8_t* at = bytes_.data();
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    at[i] = 0;
  }
}

}  // namespace skerry::registry
