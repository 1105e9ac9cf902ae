"""The one exception that stands for a mistake of the user's."""


class UserError(Exception):
    """Something the user can put right: a setting, a file, an image.

    The message is one line that names the argument or the file, what was expected and what was got. The
    command line prints it without a traceback.
    """
