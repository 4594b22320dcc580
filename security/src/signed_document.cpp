#include "skerry/security/signed_document.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "skerry/common/json.hpp"

#include "strict_object.hpp"

namespace skerry::security {
namespace {

constexpr std::string_view kKeptFormat = "skerry-kept/1";
constexpr std::size_t kKeptOverhead = 8192;
constexpr std::int64_t kAnyVersion = std::numeric_limits<std::int64_t>::max();

std::string wrap(const SignedDocument& document) {
  Json::Object out;
  out.emplace("format", kKeptFormat);
  out.emplace("target", document.target);
  out.emplace("role", document.role);
  out.emplace("role_version", document.role_version);
  out.emplace("digest", document.digest.to_string());
  out.emplace("verified_at", to_rfc3339(document.verified_at));
  out.emplace("document", document.bytes);
  return Json{std::move(out)}.dump();
}

}  // namespace

SignedDocumentStore::SignedDocumentStore(FileSystem& fs, Options options)
    : fs_(fs), options_(std::move(options)), floor_(options_.floor) {}

std::filesystem::path SignedDocumentStore::previous_path() const {
  return options_.path.string() + ".previous";
}

std::unique_ptr<SignedDocumentStore> SignedDocumentStore::open(FileSystem& fs, Options options) {
  std::unique_ptr<SignedDocumentStore> store{new SignedDocumentStore{fs, std::move(options)}};
  for (const auto& path : {store->options_.path, store->previous_path()}) {
    if (!fs.exists(path)) {
      continue;
    }
    auto copy = store->read_copy(path);
    if (copy) {
      store->current_ = std::make_shared<const SignedDocument>(std::move(*copy));
      break;
    }
    store->damage_.push_back(path.string() + ": " + copy.error().message());
  }
  store->lost_ =
      store->current_ == nullptr && (!store->damage_.empty() || store->options_.floor > 0);
  return store;
}

Result<SignedDocument> SignedDocumentStore::read_copy(const std::filesystem::path& path) const {
  // JSON may write one byte as six.
  auto text = read_file(fs_, path, options_.limit * 6 + kKeptOverhead);
  if (!text) {
    return text.error();
  }
  const auto json = Json::parse(*text, JsonLimits{text->size(), 4});
  if (!json) {
    return json.error();
  }
  StrictObject object{*json, {}, Error::Code::kParse};
  if (object.text("format", 64) != kKeptFormat) {
    object.fail("format", "expected \"" + std::string{kKeptFormat} + "\"");
  }
  SignedDocument document;
  document.target = object.text("target", 512);
  document.role = object.text("role", 128);
  document.role_version = object.number("role_version", 0, kAnyVersion);
  const auto digest = Digest::parse(object.text("digest", 80));
  const auto at = parse_rfc3339(object.text("verified_at", 40));
  if (const Json* bytes = json->find("document"); bytes != nullptr && bytes->string() != nullptr) {
    document.bytes = *bytes->string();
  }
  if (object.failed()) {
    return object.finish().error();
  }
  if (!digest || !at) {
    return Error{Error::Code::kParse, "digest or time cannot be read"};
  }
  document.digest = *digest;
  document.verified_at = *at;
  if (Digest::of(document.bytes) != document.digest) {
    return Error{Error::Code::kDigestMismatch, "the document is not the one that was verified"};
  }
  const auto version = options_.check(document.bytes);
  if (!version) {
    return version.error();
  }
  document.version = *version;
  if (document.version < options_.floor) {
    return Error{Error::Code::kRollback,
                 "version " + std::to_string(document.version) + " is older than " +
                     std::to_string(options_.floor) + ", which was in force here"};
  }
  return document;
}

std::shared_ptr<const SignedDocument> SignedDocumentStore::current() const {
  const std::lock_guard lock{mutex_};
  return current_;
}

bool SignedDocumentStore::lost() const {
  const std::lock_guard lock{mutex_};
  return lost_;
}

bool SignedDocumentStore::is_new(const Digest& digest) const {
  const auto held = current();
  return held == nullptr || held->digest != digest;
}

Result<SignedDocument> SignedDocumentStore::examine(SignedDocument candidate) const {
  if (candidate.bytes.size() > options_.limit) {
    return Error{Error::Code::kTooLarge,
                 "a " + options_.what + " document has at most " + std::to_string(options_.limit) +
                     " bytes"};
  }
  const auto version = options_.check(candidate.bytes);
  if (!version) {
    return version.error();
  }
  candidate.version = *version;
  candidate.digest = Digest::of(candidate.bytes);
  std::shared_ptr<const SignedDocument> held;
  std::int64_t newest = 0;
  {
    const std::lock_guard lock{mutex_};
    held = current_;
    newest = std::max(floor_, held ? held->version : 0);
  }
  const bool same = held && held->digest == candidate.digest;
  // After a loss the very version that was in force may come back.
  const bool regained = !held && candidate.version == newest;
  if (!same && !regained && candidate.version <= newest) {
    return Error{Error::Code::kRollback,
                 options_.what + " version " + std::to_string(candidate.version) +
                     " does not follow version " + std::to_string(newest) +
                     ", which is in force; raise \"version\""};
  }
  return candidate;
}

Result<std::shared_ptr<const SignedDocument>> SignedDocumentStore::accept(
    SignedDocument candidate) {
  const std::lock_guard one_at_a_time{replacing_};
  auto examined = examine(std::move(candidate));
  if (!examined) {
    return std::move(examined).error();
  }
  const auto held = current();
  if (held && held->digest == examined->digest) {
    return held;
  }
  // The good one is safe under the other name before its own is written over.
  if (held) {
    if (auto kept = write_file_atomic(fs_, previous_path(), wrap(*held), 0640); !kept) {
      return kept.error().with_context("keeping the last " + options_.what);
    }
  }
  if (auto written = write_file_atomic(fs_, options_.path, wrap(*examined), 0640); !written) {
    return written.error().with_context("keeping the " + options_.what);
  }
  auto fresh = std::make_shared<const SignedDocument>(std::move(*examined));
  const std::lock_guard lock{mutex_};
  floor_ = std::max(floor_, fresh->version);
  current_ = fresh;
  lost_ = false;
  return fresh;
}

}  // namespace skerry::security
