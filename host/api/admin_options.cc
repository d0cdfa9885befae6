// Options that change while a group is there: said to the catalog, seen on every replica.
#include <memory>
#include <string>
#include <utility>

#include "host/api/admin_service.h"
#include "host/api/faults.h"
#include "host/api/words.h"

namespace flotilla::api {
namespace {

// Hosts whose replica goes by other quotas yet; those that gave no word are passed over.
std::string lagging(const catalog::GroupRecord& group, const HostWords& words) {
  std::string hosts;
  auto options = catalog::readOptions(group.spec.options);
  if (!options) return hosts;  // the catalog has read them
  for (const auto& [host, word] : words) {
    KJ_IF_MAYBE (status, word->replica(group.id)) {
      auto member = status->getMember();
      // One that has stopped for good judges nobody.
      bool stopped = member.getFault().size() != 0;
      bool same = member.getMemoryBytesMax() == options->memoryBytesMax &&
                  member.getApplyTimePercentMax() == options->applyTimePercentMax &&
                  member.getCallsPerSecondMax() == options->callsPerSecondMax;
      if (same || stopped) continue;
      hosts += (hosts.empty() ? "" : ",") + std::to_string(host);
    }
  }
  return hosts;
}

}  // namespace

kj::Promise<void> AdminService::setGroup(SetGroupContext context) {
  auto params = context.getParams();
  kj::TimePoint deadline = commands_.deadlineOf(params.getTimeoutMs());
  auto options = std::make_shared<std::vector<catalog::OptionText>>();
  for (auto option : params.getOptions()) {
    options->emplace_back(viewOf(option.getKey()), viewOf(option.getValue()));
  }
  return known(params.getName())
      .then([this, context, options, deadline](catalog::GroupPointer group) mutable {
        return commands_.setGroup(group, *options, deadline)
            .then([this, context, deadline](CatalogCommands::SetOptions set) mutable {
              context.getResults().setExisted(set.existed);
              return seenSet(set.group, deadline);
            })
            .then([this, context](catalog::GroupPointer now) mutable {
              return gather(host_, {now}).then([this, context, now](HostWords words) mutable {
                write(*now, host_.catalog(), words, context.getResults().initGroup());
              });
            });
      });
}

// By every replica whose host answers. Others may set something else meanwhile: the newest counts.
kj::Promise<catalog::GroupPointer> AdminService::seenSet(catalog::GroupPointer group,
                                                         kj::TimePoint deadline) {
  if (auto now = host_.catalog().group(group->id)) group = now;
  return gather(host_, {group})
      .then([this, group, deadline](HostWords words) -> kj::Promise<catalog::GroupPointer> {
        std::string missing = lagging(*group, words);
        if (missing.empty()) return group;
        if (host_.timer().now() >= deadline) {
          return exceptionOf(ErrorCode::timeout, "group " + group->spec.name + ": set, but hosts " +
                                                     missing +
                                                     " have yet to hear of it; they will");
        }
        return host_.timer().afterDelay(kLookAgain).then([this, group, deadline]() {
          return seenSet(group, deadline);
        });
      });
}

}  // namespace flotilla::api
