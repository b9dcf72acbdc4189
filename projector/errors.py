"""Every error a person may meet, as a sentence that says what to do next.

ProjectorError
├── Misconfigured        the environment does not allow a safe start
├── NotMigrated          the tables are not there, or of another release
├── StoreUnavailable     the database cannot be reached or cannot commit now: wait and try again
├── LogMismatch          the tables were projected from another log than this one
├── StandingBy           another loop holds the lease, or took it over: not a failure, the place of a standby
├── NotRebuilt           a rebuild could not be finished: the tables are as they were
├── TwilioUnavailable    Twilio does not answer now, or asks to wait: run it again later
├── TwilioRefused        Twilio will not answer what was asked: a setting is wrong
├── NotFound             no entity with that Sid is in the tables
└── Unanswerable         the question cannot be answered as it was asked
"""


class ProjectorError(Exception):
    """What the command line prints as one sentence, without a traceback."""


class Misconfigured(ProjectorError):
    """A setting is missing, unreadable or unsafe."""


class NotMigrated(ProjectorError):
    """The database has no tables of ours, or those of another release."""


class StoreUnavailable(ProjectorError):
    """The database cannot be reached, or cannot commit, at this moment."""


class LogMismatch(ProjectorError):
    """The position of the tables does not lie in this log."""


class StandingBy(ProjectorError):
    """Another projecting loop works on these tables."""


class NotRebuilt(ProjectorError):
    """A rebuild cannot run or cannot be finished now; the tables are as they were."""


class TwilioUnavailable(ProjectorError):
    """Twilio does not answer at this moment, or asks to wait longer than we do."""


class TwilioRefused(ProjectorError):
    """Twilio does not answer this question, or leads where nothing is asked; the message says which setting to check."""


class TwilioNotFound(TwilioRefused):
    """Twilio has no such workspace or resource, for that account."""


class NotFound(ProjectorError):
    """No entity with that Sid is in the tables."""


class Unanswerable(ProjectorError):
    """The question cannot be answered as it was asked; the message says how to ask."""
