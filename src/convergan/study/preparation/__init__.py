"""Making a study: choosing and checking its images, creating its database, preregistering its plan."""
