#include "skerry/security/token_store.hpp"

#include <algorithm>
#include <utility>

namespace skerry::security {

namespace {

constexpr std::string_view kFormat = "skerry-tokens/1";
constexpr std::string_view kSecretPrefix = "skt_";
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kMaxTokens = 4096;
constexpr std::size_t kMaxFile = 4U << 20U;
constexpr std::uint32_t kSecretModeMask = 0077;

std::string encode(const std::vector<TokenRecord>& records) {
  Json::Array tokens;
  for (const TokenRecord& record : records) {
    Json::Object token;
    token.emplace("name", record.name);
    token.emplace("tenant", record.tenant.str());
    token.emplace("created", to_rfc3339(record.created));
    if (record.expires) {
      token.emplace("expires", to_rfc3339(*record.expires));
    }
    token.emplace("sha256", record.hash.hex());
    tokens.emplace_back(std::move(token));
  }
  Json::Object file;
  file.emplace("format", kFormat);
  file.emplace("tokens", std::move(tokens));
  return Json{std::move(file)}.dump_pretty() + "\n";
}

Result<TokenRecord> decode_one(const Json& token) {
  TokenRecord record;
  auto name = token.get_string("name");
  if (!name) {
    return std::move(name).error();
  }
  record.name = std::move(*name);
  auto tenant = token.get_string("tenant");
  if (!tenant) {
    return std::move(tenant).error();
  }
  record.tenant = TenantId{std::move(*tenant)};
  auto created = token.get_string("created");
  if (!created) {
    return std::move(created).error();
  }
  auto created_time = parse_rfc3339(*created);
  if (!created_time) {
    return created_time.error().with_context("created");
  }
  record.created = *created_time;
  if (token.find("expires") != nullptr) {
    auto expires = token.get_string("expires");
    if (!expires) {
      return std::move(expires).error();
    }
    auto time = parse_rfc3339(*expires);
    if (!time) {
      return time.error().with_context("expires");
    }
    record.expires = *time;
  }
  auto hash = token.get_string("sha256");
  if (!hash) {
    return std::move(hash).error();
  }
  auto digest = Digest::from_hex(*hash);
  if (!digest) {
    return digest.error().with_context("sha256");
  }
  record.hash = *digest;
  return record;
}

Result<std::vector<TokenRecord>> load(FileSystem& fs, const std::filesystem::path& path) {
  const auto status = fs.status(path);
  if (!status) {
    if (status.error().code() == Error::Code::kNotFound) {
      return std::vector<TokenRecord>{};
    }
    return status.error();
  }
  if ((status->mode & kSecretModeMask) != 0) {
    return Error{Error::Code::kPermissionDenied,
                 path.string() + " may be read by others; chmod 600 it"};
  }
  auto text = read_file(fs, path, kMaxFile);
  if (!text) {
    return std::move(text).error();
  }
  auto json = Json::parse(*text, JsonLimits{kMaxFile, 4});
  if (!json) {
    return json.error().with_context(path.string());
  }
  auto format = json->get_string("format");
  if (!format || *format != kFormat) {
    return Error{Error::Code::kParse, path.string() + ": format is not " + std::string{kFormat}};
  }
  auto tokens = json->get_array("tokens");
  if (!tokens) {
    return tokens.error().with_context(path.string());
  }
  std::vector<TokenRecord> records;
  for (const Json& token : *(*tokens)->array()) {
    auto record = decode_one(token);
    if (!record) {
      return record.error().with_context(path.string() + ": tokens[" +
                                         std::to_string(records.size()) + "]");
    }
    records.push_back(std::move(*record));
  }
  if (records.size() > kMaxTokens) {
    return Error{Error::Code::kTooLarge, path.string() + ": more than 4096 tokens"};
  }
  return records;
}

}  // namespace

Result<std::unique_ptr<TokenStore>> TokenStore::open(FileSystem& fs, std::filesystem::path path) {
  auto records = load(fs, path);
  if (!records) {
    return records.error().with_context("token store");
  }
  return std::unique_ptr<TokenStore>{new TokenStore(fs, std::move(path), std::move(*records))};
}

TokenStore::TokenStore(FileSystem& fs, std::filesystem::path path, std::vector<TokenRecord> records)
    : fs_(fs), path_(std::move(path)), records_(std::move(records)) {}

Result<void> TokenStore::persist(const std::vector<TokenRecord>& records) {
  if (auto written = write_file_atomic(fs_, path_, encode(records), 0600); !written) {
    return written.error().with_context("token store");
  }
  return {};
}

Result<NewToken> TokenStore::create(std::string_view name,
                                    const TenantId& tenant,
                                    std::optional<std::chrono::seconds> lifetime,
                                    const Clock& clock,
                                    Random& random) {
  if (auto checked = check_name(name, "token name"); !checked) {
    return checked.error();
  }
  if (lifetime && *lifetime <= std::chrono::seconds{0}) {
    return Error{Error::Code::kInvalidArgument, "a token's lifetime must be positive"};
  }
  const std::lock_guard lock{mutex_};
  const bool taken = std::any_of(records_.begin(), records_.end(), [&](const TokenRecord& record) {
    return record.name == name;
  });
  if (taken) {
    return Error{Error::Code::kAlreadyExists,
                 "there is a token '" + std::string{name} + "'; revoke it first"};
  }
  if (records_.size() >= kMaxTokens) {
    return Error{Error::Code::kResourceExhausted, "4096 tokens exist; revoke some first"};
  }
  NewToken token;
  token.secret = std::string{kSecretPrefix} + random.hex(kSecretBytes);
  token.record.name = std::string{name};
  token.record.tenant = tenant;
  token.record.created = clock.wall_now();
  if (lifetime) {
    token.record.expires = token.record.created + *lifetime;
  }
  token.record.hash = Digest::of(std::string_view{token.secret});
  std::vector<TokenRecord> next = records_;
  next.push_back(token.record);
  if (auto written = persist(next); !written) {
    return written.error();
  }
  records_ = std::move(next);
  return token;
}

Result<void> TokenStore::revoke(std::string_view name) {
  const std::lock_guard lock{mutex_};
  std::vector<TokenRecord> next = records_;
  const auto removed =
      std::erase_if(next, [&](const TokenRecord& record) { return record.name == name; });
  if (removed == 0) {
    return Error{Error::Code::kNotFound, "there is no token '" + std::string{name} + "'"};
  }
  if (auto written = persist(next); !written) {
    return written;
  }
  records_ = std::move(next);
  return {};
}

Result<Principal> TokenStore::verify(std::string_view secret, const Clock& clock) const {
  const Digest hash = Digest::of(secret);
  const WallTime now = clock.wall_now();
  std::optional<Principal> found;
  const std::lock_guard lock{mutex_};
  // Every record is looked at, whichever matches: the time tells nothing.
  for (const TokenRecord& record : records_) {
    const bool same = equal_constant_time(hash.bytes(), record.hash.bytes());
    const bool live = !record.expires || now < *record.expires;
    if (same && live) {
      found = Principal::token(record.name, record.tenant);
    }
  }
  if (!found) {
    return Error{Error::Code::kUnauthenticated, "the bearer token is not valid"};
  }
  return *found;
}

std::vector<TokenRecord> TokenStore::list() const {
  const std::lock_guard lock{mutex_};
  return records_;
}

Result<void> TokenStore::reload() {
  auto records = load(fs_, path_);
  if (!records) {
    return records.error().with_context("token store");
  }
  const std::lock_guard lock{mutex_};
  records_ = std::move(*records);
  return {};
}

}  // namespace skerry::security
