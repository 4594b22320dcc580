#include "skerry/security/policy_store.hpp"

#include <utility>

namespace skerry::security {

Result<std::unique_ptr<PolicyStore>> PolicyStore::open(FileSystem& fs, std::filesystem::path path) {
  auto current = std::make_shared<const Policy>();
  if (fs.exists(path)) {
    auto document = read_file(fs, path, PolicyLimits::kBytes);
    if (!document) {
      return document.error().with_context("last-known-good policy");
    }
    auto policy = Policy::parse(*document);
    if (!policy) {
      return policy.error().with_context("last-known-good policy " + path.string());
    }
    current = std::make_shared<const Policy>(std::move(*policy));
  }
  return std::unique_ptr<PolicyStore>{new PolicyStore(fs, std::move(path), std::move(current))};
}

PolicyStore::PolicyStore(FileSystem& fs,
                         std::filesystem::path path,
                         std::shared_ptr<const Policy> current)
    : fs_(fs), path_(std::move(path)), current_(std::move(current)) {}

std::shared_ptr<const Policy> PolicyStore::current() const {
  const std::lock_guard lock{mutex_};
  return current_;
}

Result<std::shared_ptr<const Policy>> PolicyStore::replace(std::string_view document) {
  auto policy = Policy::parse(document);
  if (!policy) {
    return std::move(policy).error();
  }
  const std::lock_guard one_at_a_time{replacing_};
  const auto before = current();
  if (policy->version() == before->version() && policy->digest() == before->digest()) {
    return before;
  }
  if (policy->version() <= before->version()) {
    return Error{Error::Code::kRollback,
                 "policy version " + std::to_string(policy->version()) +
                     " does not follow the current version " + std::to_string(before->version()) +
                     "; raise \"version\""};
  }
  if (auto written = write_file_atomic(fs_, path_, document, 0640); !written) {
    return written.error().with_context("keeping the policy");
  }
  auto fresh = std::make_shared<const Policy>(std::move(*policy));
  const std::lock_guard lock{mutex_};
  current_ = fresh;
  return fresh;
}

}  // namespace skerry::security
