#include "skerry/security/downgrade_permits.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "skerry/common/id.hpp"
#include "skerry/security/rbac.hpp"

#include "strict_object.hpp"

namespace skerry::security {
namespace {

constexpr std::string_view kPermitsFormat = "skerry-permits/1";
constexpr std::size_t kPermitsDepth = 8;
constexpr std::int64_t kAnyCounter = std::numeric_limits<std::int64_t>::max();

Result<void> check_model_name(const std::string& model) {
  const std::size_t slash = model.find('/');
  if (slash == std::string::npos) {
    return Error{Error::Code::kParse, "must be team/name"};
  }
  if (auto team = check_name(std::string_view{model}.substr(0, slash), "team"); !team) {
    return team;
  }
  return check_name(std::string_view{model}.substr(slash + 1), "name");
}

Result<DowngradePermit> read_permit(const Json& value, const std::string& path) {
  StrictObject object{value, path, Error::Code::kParse};
  DowngradePermit permit;
  permit.nonce = object.text("nonce", 64);
  if (permit.nonce.size() < 16 ||
      permit.nonce.find_first_not_of("0123456789abcdef") != std::string::npos) {
    object.fail("nonce", "expected 16 to 64 of 0-9 a-f");
  }
  permit.devices = object.texts("devices", PermitLimits::kDevices, PermitLimits::kPattern);
  permit.model = object.text("model", 129);
  if (auto named = check_model_name(permit.model); !named) {
    object.fail("model", named.error().message());
  }
  permit.from_counter = static_cast<std::uint64_t>(object.number("from_counter", 1, kAnyCounter));
  permit.to_counter = static_cast<std::uint64_t>(object.number("to_counter", 0, kAnyCounter));
  if (permit.to_counter >= permit.from_counter) {
    object.fail("to_counter", "must be below from_counter");
  }
  if (const auto expires = parse_rfc3339(object.text("expires", 40)); expires) {
    permit.expires = *expires;
  } else {
    object.fail("expires", expires.error().message());
  }
  permit.reason = object.text("reason", PermitLimits::kReason);
  if (auto done = object.finish(); !done) {
    return done.error();
  }
  return permit;
}

Json write_permit(const DowngradePermit& permit) {
  Json::Array devices;
  for (const std::string& device : permit.devices) {
    devices.emplace_back(device);
  }
  Json::Object out;
  out.emplace("nonce", permit.nonce);
  out.emplace("devices", std::move(devices));
  out.emplace("model", permit.model);
  out.emplace("from_counter", permit.from_counter);
  out.emplace("to_counter", permit.to_counter);
  out.emplace("expires", to_rfc3339(permit.expires));
  out.emplace("reason", permit.reason);
  return Json{std::move(out)};
}

}  // namespace

Result<DowngradePermits> DowngradePermits::parse(std::string_view document) {
  const auto json = Json::parse(document, JsonLimits{PermitLimits::kBytes, kPermitsDepth});
  if (!json) {
    return Error{Error::Code::kParse, json.error().message()};
  }
  StrictObject object{*json, {}, Error::Code::kParse};
  if (object.text("format", 64) != kPermitsFormat) {
    object.fail("format", "expected \"" + std::string{kPermitsFormat} + "\"");
  }
  DowngradePermits out;
  out.version_ = object.number("version", 1, kAnyCounter);
  const Json::Array& permits = object.array("permits", PermitLimits::kPermits);
  if (auto done = object.finish(); !done) {
    return done.error();
  }
  std::set<std::string> nonces;
  for (std::size_t i = 0; i < permits.size(); ++i) {
    const std::string path = "permits[" + std::to_string(i) + "]";
    auto permit = read_permit(permits[i], path);
    if (!permit) {
      return std::move(permit).error();
    }
    if (!nonces.insert(permit->nonce).second) {
      return Error{Error::Code::kParse, path + ".nonce: is used twice"};
    }
    out.permits_.push_back(std::move(*permit));
  }
  return out;
}

std::vector<DowngradePermit> DowngradePermits::matching(std::string_view device,
                                                        std::string_view model,
                                                        std::uint64_t held,
                                                        std::uint64_t wanted) const {
  std::vector<DowngradePermit> out;
  for (const DowngradePermit& permit : permits_) {
    const bool named = std::any_of(
        permit.devices.begin(), permit.devices.end(), [device](const std::string& pattern) {
          return glob_matches(pattern, device);
        });
    if (named && !device.empty() && permit.model == model && held <= permit.from_counter &&
        wanted >= permit.to_counter) {
      out.push_back(permit);
    }
  }
  return out;
}

Result<void> DowngradePermits::add(DowngradePermit permit) {
  const auto checked = read_permit(write_permit(permit), "permit");
  if (!checked) {
    return Error{Error::Code::kInvalidArgument, checked.error().message()};
  }
  if (std::any_of(permits_.begin(), permits_.end(), [&](const DowngradePermit& other) {
        return other.nonce == permit.nonce;
      })) {
    return Error{Error::Code::kAlreadyExists, "there is a permit with nonce " + permit.nonce};
  }
  if (permits_.size() == PermitLimits::kPermits) {
    return Error{Error::Code::kTooLarge, "1000 permits are the most; remove old ones"};
  }
  permits_.push_back(std::move(permit));
  return {};
}

Result<void> DowngradePermits::remove(std::string_view nonce) {
  const auto removed = std::erase_if(
      permits_, [nonce](const DowngradePermit& permit) { return permit.nonce == nonce; });
  if (removed == 0) {
    return Error{Error::Code::kNotFound, "no permit has the nonce " + std::string{nonce}};
  }
  return {};
}

void DowngradePermits::drop_expired(WallTime now) {
  std::erase_if(permits_, [now](const DowngradePermit& permit) { return permit.expires < now; });
}

std::string DowngradePermits::document() const {
  Json::Array permits;
  for (const DowngradePermit& permit : permits_) {
    permits.push_back(write_permit(permit));
  }
  Json::Object out;
  out.emplace("format", kPermitsFormat);
  out.emplace("version", version_);
  out.emplace("permits", std::move(permits));
  return Json{std::move(out)}.dump_pretty() + "\n";
}

}  // namespace skerry::security
